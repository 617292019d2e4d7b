"""The benchmark's arithmetic: launches counted from compiled programs, exponents, merging of parts."""

import argparse
import json
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))  # scripts, not a package

import launches
import parts
import report
import run

X = np.linspace(0.1, 1.0, 1000)


def compiled(f, *args):
    return launches.count(jax.jit(f).lower(*args).compile().as_text())


def loop(n):
    """n passes, each two sines of every element."""
    return lambda x: jax.lax.fori_loop(0, n, lambda _, y: jnp.sin(jnp.sin(y)), x)


def test_loops_count_as_often_as_they_run():
    once, ten, twenty = (compiled(loop(n), X) for n in (1, 10, 20))
    assert ten["unknown_loops"] == 0
    assert twenty["launches"] - ten["launches"] == 10 * ten["loops"][0][3] > 0
    assert ten["loops"][0][1:3] == [10, 1.0]
    assert twenty["operations"] - ten["operations"] == pytest.approx(10 * 2 * X.size, rel=0.02)  # and the counter
    assert twenty["bytes"] - ten["bytes"] == pytest.approx(10 * 2 * X.nbytes, rel=0.02)
    assert once["launches"] < ten["launches"]


def test_nested_loops_multiply():
    nested = lambda x: jax.lax.fori_loop(0, 5, lambda _, y: loop(4)(jnp.cos(y)), x)
    found = compiled(nested, X)
    assert found["operations"] == pytest.approx(5 * (1 + 4 * 2) * X.size, rel=0.05)


def test_loops_of_unknown_length_are_named():
    found = compiled(lambda x: jax.lax.while_loop(lambda y: y[0] < 3.0, lambda y: 1.1 * y, x), X)
    assert found["unknown_loops"] == 1


def test_contractions_and_slices():
    a = np.ones((40, 50))
    product = compiled(lambda a, b: a @ b, a, a.T)
    assert product["operations"] == 2 * 40 * 50 * 40
    table = np.ones((200, 1000))
    reads = compiled(lambda t: jax.lax.scan(lambda s, row: (s + row, None), jnp.zeros(1000), t)[0], table)
    assert reads["bytes"] < 5 * table.nbytes  # a pass reads its row, not the whole table


def test_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        launches.count("HloModule nothing")


def test_exponents_of_a_power_law():
    found = parts.exponents({n: 3.0 * n**0.7 for n in (10, 20, 40, 80)})
    assert found["exponent"] == pytest.approx(0.7)
    assert found["last_exponent"] == pytest.approx(0.7)
    assert parts.exponents({10: 1.0})["exponent"] is None


def test_parts_merge_and_machines_stand_beside_each_other(tmp_path, monkeypatch):
    file = tmp_path / "all.json"
    args = argparse.Namespace(only=["scaling"], repeat=1, k_max=1.0, small=True, json=file)
    family = {"wall": {"10": 1.0, "20": 3.0}, "missing": {}} | parts.exponents({10: 1.0, 20: 3.0})
    monkeypatch.setitem(parts.PARTS, "scaling", lambda options, say: {"families": {"size": family}})
    result = {"batch": {"where": None}}
    run.measure(args, result)
    assert set(json.loads(file.read_text())) == {"batch", "scaling"}
    assert "**1.58**" in report.tables({"scaling": result["scaling"]})  # worse than linear
    for kind in ("one", "two"):
        entry = {"device": kind, "programs": {}, "missing": {}}
        monkeypatch.setitem(parts.PARTS, "launches", lambda options, say, entry=entry: dict(entry))
        run.measure(argparse.Namespace(**(vars(args) | {"only": ["launches"]})), result)
    assert set(result["launches"]) == {"one", "two"}
    assert "compiled for two" in report.tables({"launches": result["launches"]})


def test_parts_that_fail_say_so(monkeypatch):
    def fails(options, say):
        raise parts.WorkerError("no such thing")

    monkeypatch.setitem(parts.PARTS, "batch", fails)
    result = {}
    run.measure(argparse.Namespace(only=["batch"], repeat=1, k_max=1.0, small=True, json=None), result)
    assert "not measured: batch: no such thing" in report.tables(result)


def test_sections_that_were_not_measured_stay(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n{report.BEGIN}\n## One\n\nold\n\n## Two\n\nkept\n{report.END}\n## After\n")
    report.update_docs(page, "## One\n\nnew\n\n## Three\n\nnew")
    sections = "## One\n\nnew\n\n## Two\n\nkept\n\n## Three\n\nnew"
    assert page.read_text() == f"# Page\n{report.BEGIN}\n{sections}\n{report.END}\n## After\n"
    page.write_text("# Page\n")
    with pytest.raises(SystemExit, match="lacks its markers"):
        report.update_docs(page, "## One")
