"""The gate: a criterion is held to, and everything else is refused. Spectra of known error replace the codes."""

import json
from pathlib import Path

import numpy as np
import pytest
from oracle import __main__ as command_line
from oracle import codes, criterion, gate, prior, workers
from oracle import reference as ref
from oracle import runs as finished
from oracle.errors import LABELS

CRITERIA = Path(criterion.__file__).parent / "criteria"
TEXT = """
name = "tried"
points = 3
l_max = 50
[tolerance]
lensed_tt = 1e-3
lensed_te = 1e-3
pk = 1e-3
"""


def flat(l_max=50):
    ell = np.arange(l_max + 1.0)
    spectra = {n: np.where(ell < 2, 0.0, 1.0 / (ell + 1.0) ** 2) for n in LABELS if not n.startswith("pk")}
    k = ref.K_H * 0.7
    return spectra | {"k": k, "z": np.array(ref.Z_PK), "pk": np.ones((2, k.size)), "pk_cb": np.ones((2, k.size))}


def in_process(function, tasks, n_workers, threads):
    for task in tasks:
        yield workers.Event("started", task)
        try:
            yield workers.Event("done", task, function(*task))
        except RuntimeError as error:
            yield workers.Event("failed", task, str(error))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(text, boltzax): exit code and verdict of the gate for a criterion, with a function in boltzax's place."""
    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(codes, "require", lambda name: None)
    monkeypatch.setattr(finished, "class_version", lambda: "none")
    monkeypatch.setattr(codes, "reference", lambda point, l_max: flat())

    def go(text=TEXT, boltzax=lambda point, l_max: flat()):
        monkeypatch.setattr(codes, "boltzax", boltzax)
        (tmp_path / "criterion.toml").write_text(text)
        out = tmp_path / "verdict.json"
        out.unlink(missing_ok=True)
        code = command_line.main(["gate", "--criterion", str(tmp_path / "criterion.toml"), "--json", str(out)])
        return code, json.loads(out.read_text()) if out.exists() else None

    return go


def changed(name, at, factor):
    def boltzax(point, l_max):
        spectra = flat()
        spectra[name][..., at] *= factor
        return spectra

    return boltzax


def test_a_criterion_that_holds(run):
    code, verdict = run(boltzax=changed("lensed_tt", 17, 1.0009))
    assert code == 0 and verdict["passed"] is True
    assert verdict["criterion"]["name"] == "tried" and len(verdict["criterion"]["hash"]) == 64
    assert verdict["reference_hash"] == ref.reference_hash()
    assert verdict["package"] == codes.package()
    rows = {row["name"]: row for row in verdict["rows"]}
    assert set(rows) == {"lensed_tt", "lensed_te", "pk"}
    assert rows["lensed_tt"]["value"] == pytest.approx(9e-4) and rows["lensed_tt"]["required"] == 1e-3
    assert all(row["passed"] for row in rows.values())


@pytest.mark.parametrize(
    ("name", "at", "factor"), [("lensed_tt", 50, 1.002), ("lensed_te", 2, -1.0), ("pk", -1, 0.99), ("pk", 0, np.nan)]
)
def test_one_wrong_number_fails(run, name, at, factor):
    code, verdict = run(boltzax=changed(name, at, factor))
    assert code == 1 and verdict["passed"] is False
    assert [row["name"] for row in verdict["rows"] if not row["passed"]] == [name]


def test_spectra_that_count_for_nothing_do_not_fail(run):
    assert run(boltzax=changed("lensed_bb", 20, 2.0))[0] == 0


def test_one_bad_point_among_good_ones_fails(run):
    points = []

    def boltzax(point, l_max):
        points.append(point)
        if len(points) == 2:
            raise RuntimeError("no solution")
        return flat()

    code, verdict = run(boltzax=boltzax)
    assert code == 1 and len(points) == 3
    assert verdict["failures"] == ["point 1 failed: no solution"]
    assert all(row["value"] is None and not row["passed"] for row in verdict["rows"])


def test_spectra_that_end_early_fail(run):
    def short(point, l_max):
        spectra = flat()
        return spectra | {"lensed_tt": spectra["lensed_tt"][:40]}

    code, verdict = run(boltzax=short)
    assert code == 1 and [row["name"] for row in verdict["rows"] if not row["passed"]] == ["lensed_tt"]


def test_points_are_drawn_afresh(run):
    seen = []

    def boltzax(point, l_max):
        seen.append(point)
        return flat()

    seeds = [run(boltzax=boltzax)[1]["seed"] for _ in range(2)]
    assert seeds[0] != seeds[1]
    assert [p["h"] for p in seen] == [prior.draw(i, seed)["h"] for seed in seeds for i in range(3)]


def test_derivatives_and_speed(run, monkeypatch):
    monkeypatch.setattr(gate, "derivative_errors", lambda names, seed: {"h": 1e-6, "n_s": 2e-3})
    monkeypatch.setattr(gate, "speed", lambda seed: 0.4)
    text = "points = 1\n[derivatives]\ntolerance = 1e-3\nparameters = ['h', 'n_s']\n[speed]\nratio = 0.5\n"
    code, verdict = run(text)
    assert code == 1
    assert [(r["name"], r["passed"]) for r in verdict["rows"]] == [
        ("speed ratio", True),
        ("derivatives h", True),
        ("derivatives n_s", False),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("points = 3", "requires nothing"),
        (TEXT.replace("lensed_tt", "lensed_tx"), "did you mean"),
        (TEXT.replace("points = 3", "points = 0"), "points must be an integer"),
        (TEXT.replace("points = 3\n", ""), "points must be an integer"),
        (TEXT.replace("lensed_tt = 1e-3", "lensed_tt = -1e-3"), "positive number"),
        (TEXT.replace("l_max = 50", "l_max = 1"), "l_max"),
        (TEXT.replace("l_max", "lmax"), "unknown entry"),
        (TEXT.replace("[tolerance]", "[tolerance"), "not TOML"),
        ('reference_hash = "0"' + TEXT, "reference recipe"),
    ],
)
def test_bad_criteria_are_refused(run, capsys, text, message):
    code, verdict = run(text)
    assert code == 2 and verdict is None
    assert message in capsys.readouterr().err


def test_a_missing_criterion_or_folder_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(codes, "require", lambda name: None)
    assert command_line.main(["gate", "--criterion", str(tmp_path / "none.toml")]) == 2
    assert "cannot read" in capsys.readouterr().err
    json_path = str(tmp_path / "none" / "verdict.json")
    assert command_line.main(["gate", "--criterion", str(CRITERIA / "best.toml"), "--json", json_path]) == 2
    with pytest.raises(SystemExit) as error:
        command_line.main(["gate"])
    assert error.value.code == 2


def test_shipped_criteria():
    """Each pins the reference recipe; the stricter ones ask for more."""
    loaded = {path.stem: criterion.load(path) for path in CRITERIA.glob("*.toml")}
    assert set(loaded) == {"subpercent", "permille", "best"}
    for name, bound in (("subpercent", 1e-2), ("permille", 1e-3), ("best", 2e-4)):
        assert loaded[name].name == name
        assert loaded[name].reference_hash == ref.reference_hash()
        assert (loaded[name].l_min, loaded[name].l_max) == (2, 3000)
        assert loaded[name].tolerance == dict.fromkeys(LABELS, bound)
    assert loaded["best"].derivatives == 1e-4 and loaded["best"].speed == 0.5
