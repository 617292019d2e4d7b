"""The sweep: its prior, processes that fail, resume, and what its report says. Codes are replaced by known errors."""

import json
import math
import os

import numpy as np
import pytest
from oracle import __main__ as command_line
from oracle import codes, kept, prior, runs, sweep, sweep_report, workers
from oracle import reference as ref
from oracle.errors import LABELS
from tests.test_oracle_gate import flat, in_process


def test_prior_is_the_stated_one():
    points = [prior.draw(i, 7) for i in range(400)]
    assert points[5] == prior.draw(5, 7) and points[5] != prior.draw(5, 8)
    for name in ("h", "omega_b", "omega_cdm", "n_s", "ln_A_s_1e10", "tau_reio"):
        (low, high), values = prior.RANGES[name], np.array([p[name] for p in points])
        assert values.min() > low and values.max() < high
        assert abs(values.mean() - (low + high) / 2) < 0.1 * (high - low)
    sums = np.array([math.fsum(p["m_ncdm"]) for p in points])
    assert 0.0 < sums.min() < 0.03 and 0.57 < sums.max() < 0.6
    number = np.array([len(p["m_ncdm"]) for p in points])
    assert set(number) == {1, 3} and 60 < np.sum(number == 3) < 160
    N_eff = np.array([p["N_ur"] + len(p["m_ncdm"]) * prior.PER_SPECIES for p in points])
    assert min(p["N_ur"] for p in points) > 0.0 and 2.0 < N_eff.min() < 2.1 and 4.4 < N_eff.max() < 4.5
    assert np.all(N_eff[number == 3] > 3.0)


def test_reference_takes_equal_species_as_one():
    point = prior.draw(0, 7) | {"m_ncdm": (0.1, 0.1, 0.1)}
    found = ref.class_parameters(point)
    assert (found["N_ncdm"], found["m_ncdm"], found["deg_ncdm"]) == (1, "0.1", "3.0")
    unequal = ref.class_parameters(point | {"m_ncdm": (0.1, 0.2)})
    assert (unequal["N_ncdm"], unequal["m_ncdm"]) == (2, "0.1,0.2") and "deg_ncdm" not in unequal


def work(number):
    if number == 1:
        raise ValueError("not this one")
    if number == 2:
        os._exit(3)
    return 10 * number


def test_every_task_ends_with_a_result_or_a_reason():
    """One raises and one kills its process; the others are done."""
    events = [e for e in workers.run(work, [(i,) for i in range(5)], workers=2, threads=1) if e.kind != "started"]
    found = {event.task[0]: (event.kind, event.result) for event in events}
    assert found == {
        0: ("done", 0),
        1: ("failed", "ValueError: not this one"),
        2: ("failed", "the process ended with exit code 3"),
        3: ("done", 30),
        4: ("done", 40),
    }


@pytest.fixture
def command(tmp_path, monkeypatch):
    """command(*arguments): exit code of a sweep in tmp_path; command.solved: the points that each code was run at."""
    solved = []

    def code(name, factor):
        def run(point, l_max):
            solved.append((name, point["h"]))
            spectra = flat()
            return {k: v * factor if k in LABELS else v for k, v in spectra.items()}

        return run

    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(codes, "require", lambda name: None)
    monkeypatch.setattr(runs, "class_version", lambda: "none")
    monkeypatch.setattr(runs, "cached", lambda kind, at, run, version: solved.append(("reference", at["h"])) or flat())
    factors = {"boltzax": 1.0001, "CLASS default": 1.002, "CAMB default": 1.003}
    monkeypatch.setattr(codes, "COMPARED", {name: code(name, factor) for name, factor in factors.items()})

    def go(*arguments):
        return command_line.main(["sweep", "--out", str(tmp_path / "sweep"), "--l-max", "50", *arguments])

    go.solved, go.folder = solved, tmp_path / "sweep"
    return go


def test_a_sweep_and_its_report(command, capsys):
    out = command.folder.parent / "sweep.json"
    assert command("--points", "3", "--seed", "1", "--json", str(out)) == 0
    text = capsys.readouterr().out
    assert "every requirement holds" in text and "3 points, 0 failures" in text
    report = json.loads(out.read_text())
    assert report["seed"] == 1 and [p["index"] for p in report["points"]] == [0, 1, 2]
    total = report["spreads"]["lensed_tt"]["boltzax"]["total"]
    assert total["median"] == pytest.approx(1e-4, rel=1e-3) and total["worst"] == pytest.approx(1e-4, rel=1e-3)
    assert report["spreads"]["lensed_ee"]["CAMB default"]["total"]["median"] == pytest.approx(3e-3, rel=1e-3)
    assert (command.folder / "sweep.png").stat().st_size > 10000


def test_an_interrupted_sweep_goes_on(command, capsys):
    command("--points", "2", "--seed", "1")
    (command.folder / "point_0001.npz").write_bytes(b"half a file")
    command.solved.clear()
    command("--points", "4")
    assert {h for _, h in command.solved} == {prior.draw(i, 1)["h"] for i in (1, 2, 3)}
    assert "4 points, 0 failures" in capsys.readouterr().out
    assert command("--points", "4", "--seed", "2") == 2
    assert "seed 1, not 2" in capsys.readouterr().err


def test_parts_share_a_sweep(command):
    for part in ("1/3", "3/3", "2/3"):
        command("--points", "5", "--seed", "4", "--part", part)
    assert len(command.solved) == 4 * 5
    assert [r["index"] for r, _ in sweep.load_all(command.folder)] == [0, 1, 2, 3, 4]


def test_points_of_an_older_package_are_computed_again(command, monkeypatch):
    command("--points", "2", "--seed", "1")
    command.solved.clear()
    monkeypatch.setattr(codes, "package", lambda: {"hash": "another"})
    command("--points", "2", "--seed", "1")
    assert len(command.solved) == 8


def test_kept_reference_runs_are_used(command, monkeypatch, tmp_path, capsys):
    """They are written with --keep alone, and stand for the run that they were made from; a damaged one is told."""
    monkeypatch.setattr(kept, "FOLDER", tmp_path / "kept")
    command("--points", "1", "--seed", "1")
    assert not kept.FOLDER.exists()
    command("--points", "2", "--seed", "1", "--keep")
    [path] = kept.FOLDER.iterdir()
    command.solved.clear()
    monkeypatch.setattr(codes, "package", lambda: {"hash": "another"})
    assert command("--points", "2", "--seed", "1") == 0
    assert [h for name, h in command.solved if name == "reference"] == [prior.draw(0, 1)["h"]]
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(codes, "package", lambda: {"hash": "a third"})
    capsys.readouterr()
    assert command("--points", "2", "--seed", "1") == 1
    assert f"{path} cannot be read" in capsys.readouterr().out


def test_keeping_rounds_to_half_a_step():
    """Cross spectra, which change sign, to half a step of their correlation."""
    arrays = ref.load_spectra("fiducial")
    back = kept.unpack(kept.pack(arrays))
    assert set(back) == set(arrays)
    for name, values in arrays.items():
        if name[-2:] in ("tt", "ee", "bb", "pp") or name.startswith("pk"):
            np.testing.assert_allclose(back[name], values, rtol=0.51 * kept.STEP)
        elif name in ("lensed_te", "unlensed_te", "lensed_tp"):
            change = ref.normalised(name, back) - ref.normalised(name, arrays)
            assert np.max(np.abs(change)) < 0.51 * kept.STEP
        else:
            np.testing.assert_array_equal(back[name], values)
    with pytest.raises(ValueError, match="lensed_bb cannot be kept"):
        kept.pack(arrays | {"lensed_bb": -arrays["lensed_bb"]})


def test_failures_are_reported_and_tried_again(command, monkeypatch, capsys):
    def broken(point, l_max):
        if point["h"] == prior.draw(1, 1)["h"]:
            raise RuntimeError("no solution")
        spectra = flat()
        if point["h"] == prior.draw(2, 1)["h"]:
            spectra["lensed_ee"][20] = np.nan
        return spectra

    good = dict(codes.COMPARED)
    monkeypatch.setattr(codes, "COMPARED", good | {"boltzax": broken})
    assert command("--points", "3", "--seed", "1") == 1
    text = capsys.readouterr().out
    assert "boltzax failed at point 1" in text and "RuntimeError: no solution" in text
    assert "boltzax failed at point 2" in text and "not finite in lensed_ee" in text
    assert "EE lensed: worst inf" in text
    monkeypatch.setattr(codes, "COMPARED", good)
    assert command("--points", "3", "--seed", "1") == 0


def test_requirements_are_on_median_and_worst_point_and_on_the_other_codes():
    def points(sizes, others=(0.1, 0.1)):
        def arrays(size):
            found = {"boltzax": size, "CLASS default": others[0], "CAMB default": others[1]}
            return {f"{code}|{name}": np.full((2, 201), s) for code, s in found.items() for name in LABELS}

        return [({"index": i, "failures": {}, "parameters": {}}, arrays(size)) for i, size in enumerate(sizes)]

    def missed(found):
        lines = sweep_report.misses(sweep_report.summary(found, 100), found)
        return " ".join(line for line in lines if "TT un" in line)

    assert missed(points([1e-4, 2e-4, 5e-4])) == ""
    assert "worst 7.0e-04 (point 2" in missed(points([1e-4, 2e-4, 7e-4]))
    assert "median 4.0e-04" in missed(points([1e-4, 4e-4, 5e-4])) and "worst" not in missed(points([1e-4, 4e-4, 5e-4]))
    assert "CAMB default is closer" in missed(points([1e-4, 2e-4, 3e-4], (0.1, 1e-4)))


@pytest.mark.parametrize("arguments", [["--points", "0"], ["--points", "3", "--part", "4/3"], ["--points", "x"]])
def test_bad_arguments(command, arguments):
    with pytest.raises(SystemExit) as error:
        command(*arguments)
    assert error.value.code == 2
