"""The search for points that fail: they are named, with what is wrong."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from oracle import __main__ as command_line
from oracle import prior, robust, workers
from tests.test_oracle_gate import in_process

import boltzax
from boltzax.fields import numbers


def results(**changed):
    """Good spectra, of which `changed` are other ones."""
    tail = np.full(4, 1.0)
    tail[:2] = 0.0
    good = {"tt": 4.0 * tail, "ee": tail, "bb": 0.1 * tail, "pp": tail, "te": -1.9 * tail}
    both = {kind: SimpleNamespace(**good) for kind in ("unlensed_cl", "lensed_cl")}
    for name, value in changed.items():
        kind, pair = name.split("__")
        setattr(both[kind], pair, np.asarray(value))
    return SimpleNamespace(**both, pk_lin=lambda k, z: k)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, []),
        ({"unlensed_cl__tt": [0.0, 0.0, 4.0, -1e-30]}, ["unlensed_cl.tt is not", "unlensed_cl: TE^2"]),
        ({"lensed_cl__bb": [0.0, 0.0, np.nan, 1.0]}, ["lensed_cl.bb is not"]),
        ({"lensed_cl__te": [0.0, 0.0, 1.0, 2.1]}, ["lensed_cl: TE^2"]),
        ({"lensed_cl__te": [0.0, 0.0, np.nan, 1.0]}, ["lensed_cl: TE^2"]),
    ],
)
def test_spectra_that_no_random_field_has_are_named(changed, said):
    found = robust.problems(results(**changed))
    assert len(found) == len(said) and all(line.startswith(start) for line, start in zip(found, said, strict=True))


def test_matter_too():
    found = results()
    found.pk_lin = lambda k, z: k - 2.0 * k * (z > 0.5)
    assert robust.problems(found) == ["P(k, z = 1.0) is not positive"]


def test_points_that_fail_are_named(monkeypatch, tmp_path, capsys):
    def check(name, index, seed, l_max):
        if index == 1:
            raise RuntimeError("the sources stage gave values that are not finite")
        return ["lensed_cl.tt is not positive"] if (name, index) == ("cdi", 2) else []

    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(robust, "check", check)
    path = tmp_path / "robust.json"
    command = ["robust", "--points", "3", "--seed", "5", "--features", "cdi", "--json", str(path)]
    assert command_line.main(command) == 1
    said = capsys.readouterr().out
    assert said.splitlines() == json.loads(path.read_text())["missed"]
    assert "LCDM, point 1 failed: the sources stage" in said and "cdi, point 2: lensed_cl.tt" in said
    assert "LCDM, point 2" not in said
    monkeypatch.setattr(robust, "check", lambda *task: [])
    assert command_line.main(["robust", "--points", "3", "--seed", "5"]) == 0
    assert "3 points of LCDM, seed 5" in capsys.readouterr().out


def test_points_are_those_of_the_sweep_and_of_the_extensions():
    assert robust.point(robust.PLAIN, 3, 2026) == prior.draw(3, 2026)
    names = numbers(boltzax.Cosmology(**robust.point("cdi", 0, 2026)))
    assert {"h", "m_ncdm", "f_cdi", "n_cdi", "c_ad_cdi", "T_cmb"} <= set(names)
