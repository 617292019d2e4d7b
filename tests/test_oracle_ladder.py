"""The ladder of convergence: every setting is made finer, compared with the right base, and held to its third."""

from pathlib import Path

import numpy as np
import pytest
from oracle import __main__ as command_line
from oracle import codes, ladder, workers
from oracle.files import save_npz
from tests.test_oracle_gate import flat, in_process

import boltzax


@pytest.fixture
def climb(tmp_path, monkeypatch):
    """climb(change): exit code of the command, and the rungs solved; change: of lensed TT, by precision and r."""
    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(codes, "package", lambda: {"hash": "tried"})
    solved = []

    def go(change):
        solved.clear()

        def solve(point, settings, l_max, path):
            found = flat(l_max)
            found["lensed_tt"] = found["lensed_tt"] * (1.0 + change(boltzax.Precision(**settings), point.get("r", 0.0)))
            save_npz(Path(path), found)
            solved.append((settings, point.get("r", 0.0)))
            return 1.0

        monkeypatch.setattr(ladder, "solve", solve)
        return command_line.main(["ladder", "--out", str(tmp_path / "rungs"), "--l-max", "50"]), solved

    return go


def test_every_setting_is_made_finer():
    base, rungs = boltzax.Precision(), ladder.rungs()
    finer = {"n_k": 2.0 * base.n_k, "n_tail": round(1.5 * base.n_tail), "dtau_late": base.dtau_late / 2.0}
    finer |= {"y_min": base.y_min / 1.5, "l_margin": round(1.5 * base.l_margin)}
    for name, value in finer.items():
        assert getattr(rungs[name], name) == pytest.approx(value)
        assert all(getattr(rungs[name], other) == getattr(base, other) for other in finer if other != name)


def test_finished_rungs_are_kept_and_those_of_tensor_modes_have_them(climb, tmp_path):
    code, solved = climb(lambda precision, r: r)  # tensor modes change TT; no setting does
    assert code == 0
    assert [r for _, r in solved].count(0.1) == 3 and len(solved) == len(ladder.rungs())
    assert (tmp_path / "rungs" / "ladder.png").stat().st_size > 10000
    assert climb(lambda precision, r: r) == (0, [])


def test_a_setting_that_has_not_converged_is_named(climb, capsys):
    base = boltzax.Precision()
    code, _ = climb(lambda p, r: 1.1e-4 * (p.n_v > base.n_v and p.n_h == base.n_h) + 9e-5 * (p.n_q > base.n_q))
    said = capsys.readouterr().out
    assert code == 1
    assert "n_v: TT lensed moves by 1.1e-04, a third of the budget is 1e-04" in said and "**1.1e-04**" in said
    assert "n_q:" not in said


def test_a_rung_that_fails_is_named(climb, capsys):
    def change(precision, r):
        if precision.taper > boltzax.Precision().taper:
            raise RuntimeError("out of memory")
        return np.float64(0.0)

    assert climb(change)[0] == 1
    assert "taper failed: out of memory" in capsys.readouterr().out


def test_a_part_does_not_replace_the_whole_table(tmp_path, capsys):
    assert command_line.main(["ladder", "--out", str(tmp_path), "--only", "n_k", "--update-docs"]) == 2
    assert "leave --only out" in capsys.readouterr().err
