"""P(k) against CLASS with long hierarchies: what CLASS is given, and what the report says. Codes are replaced."""

import numpy as np
import pytest
from oracle import codes, matter, prior, runs, workers
from oracle import reference as ref
from tests.test_oracle_gate import in_process


def test_class_is_given_long_hierarchies_and_no_spectra():
    for index in range(5):
        point = matter.draw(index, 3, massive=False)
        settings = matter.class_settings(point)
        assert settings["l_max_ur"] >= 3 * ref.class_settings(point, "point")["l_max_ur"]
        assert settings["output"] == "mPk" and "lensing" not in settings and settings["N_ncdm"] == 0
        drawn = matter.draw(index, 3, massive=True)
        assert drawn == prior.draw(index, 3)
        assert ("l_max_ncdm" in matter.class_settings(drawn)) == bool(drawn["m_ncdm"])


@pytest.fixture
def command(monkeypatch):
    """command(factor): exit code where P(k) of boltzax is that of CLASS times 1 + factor at the largest wavenumber."""
    flat = {"pk": np.ones((2, ref.K_H.size))}
    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(codes, "require", lambda name: None)
    monkeypatch.setattr(codes, "solve", lambda point, l_max, precision: None)
    monkeypatch.setattr(runs, "cached", lambda kind, settings, run: flat)

    def go(factor):
        mine = flat["pk"].copy()
        mine[1, -1] += factor
        monkeypatch.setattr(codes, "flatten", lambda results: {"pk": mine})
        return matter.main(["--points", "2"])

    return go


def test_errors_by_band(command, capsys):
    assert command(1e-4) == 0
    assert "| Precision() | 0.0e+00, 0.0e+00 | 0.0e+00, 0.0e+00 | 0.0e+00, 0.0e+00 | 1.0e-04, 1.0e-04 |" in (
        capsys.readouterr().out
    )
    assert command(-3e-4) == 1 and command(np.nan) == 1
