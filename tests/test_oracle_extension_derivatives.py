"""Derivatives by parameters of extensions through the whole solver, and the report of the command that checks all."""

import numpy as np
import pytest
from oracle import extension_derivatives as extensions
from oracle import workers
from tests.test_oracle_gate import in_process


@pytest.fixture(scope="module")
def constants():
    return extensions.compare("constants", small=True)


@pytest.mark.parametrize("parameter", extensions.CASES["constants"].parameters)
def test_constants_of_nature_and_annihilation_at_and_off_their_neutral_values(constants, parameter):
    for error, own, where in constants[parameter]:
        assert error < 1e-5 and own < 1e-4, where


def test_every_case_can_be_built():
    for name, case in extensions.CASES.items():
        assert set(case.parameters) <= set(extensions.SCALES)
        for point in case.points:
            extensions.cosmology(name, point)


def test_an_error_beyond_the_bound_is_named(monkeypatch, capsys):
    found = {"r": [(1e-7, 1e-8, ""), (2e-4, 1e-8, "lensed_bb 2-500")], "n_t": [(1e-9, 0.0, "")] * 2}
    found["alpha_t"] = [(np.nan, 0.0, "lensed_ee 2-500"), (1e-9, 0.0, "")]
    monkeypatch.setattr(extensions, "_fresh", lambda name, small: found)
    monkeypatch.setattr(workers, "run", in_process)
    assert extensions.main(["tensors"]) == 1
    said = capsys.readouterr().out
    assert "tensors: r at r 0.1, n_t -0.1, alpha_t 0.02: 2.0e-04 (lensed_bb 2-500" in said and "**2.0e-04**" in said
    assert "tensors: alpha_t at r 0, n_t 0, alpha_t 0: nan" in said and "**nan**" in said


def test_rows_of_other_cases_stay_in_the_table():
    results = {"tensors": {name: [(1e-7, 1e-8, "")] * 2 for name in extensions.CASES["tensors"].parameters}}
    old = extensions.table({"curvature": {"Omega_k": [(3e-6, 1e-8, "")] * 3}} | results)
    new = extensions.table({"tensors": {name: [(2e-7, 1e-8, "")] * 2 for name in results["tensors"]}}, old)
    assert new.count("3.0e-06") == 3 and new.count("2.0e-07") == 2 and "1.0e-07" not in new
