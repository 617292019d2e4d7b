"""`boltzax.check_accuracy`: finds the change that a boost makes, refuses a boost that is none."""

from dataclasses import fields, replace

import numpy as np
import pytest
from oracle.experiment import SMALL
from oracle.experiment import SMALL_OUTPUTS as OUTPUTS

import boltzax
from boltzax.check_accuracy import direction, finest
from boltzax.errors import PrecisionError

FINER = replace(SMALL, n_tail=6, n_v=3.0)


@pytest.fixture(scope="module")
def accuracy():
    return boltzax.check_accuracy(boltzax.Cosmology(), OUTPUTS, SMALL, FINER)


def test_changes_are_those_of_the_two_solutions(accuracy):
    base, fine = (boltzax.solve(boltzax.Cosmology(), OUTPUTS, p) for p in (SMALL, FINER))
    change = lambda a, b: np.abs(np.asarray(a)[2:] / np.asarray(b)[2:] - 1.0)
    for name in ("tt", "ee", "bb", "pp"):
        expected = change(getattr(base.lensed_cl, name), getattr(fine.lensed_cl, name))
        assert accuracy.largest(f"lensed_{name}") == pytest.approx(expected.max(), rel=1e-9)
        low = next(c for c in accuracy.changes if c.spectrum == f"lensed_{name}")
        assert (low.low, low.high) == (2, 29)
        assert low.largest == pytest.approx(expected[:28].max(), rel=1e-9) and low.at == 2 + np.argmax(expected[:28])
        assert low.rms == pytest.approx(np.sqrt(np.mean(expected[:28] ** 2)), rel=1e-9)
    a, b = base.unlensed_cl, fine.unlensed_cl
    expected = np.abs(a.te - b.te)[2:] / np.sqrt(b.tt * b.ee)[2:]
    assert accuracy.largest("unlensed_te") == pytest.approx(float(expected.max()), rel=1e-9)
    assert 1e-5 < accuracy.largest("lensed_ee") < 0.3 and 0.0 < accuracy.largest("pk") < 0.05


def test_table(accuracy):
    text = str(accuracy)
    assert "lensed tt" in text and "30-400" in text and "pk" in text
    with pytest.raises(KeyError, match="compared were"):
        accuracy.largest("lensed_xx")


def test_refuses_a_boost_that_is_none():
    cosmo = boltzax.Cosmology()
    with pytest.raises(PrecisionError, match="finer than precision in nothing"):
        boltzax.check_accuracy(cosmo, OUTPUTS, SMALL, SMALL)
    with pytest.raises(PrecisionError, match="coarser than precision in n_v, dtau_late"):
        boltzax.check_accuracy(cosmo, OUTPUTS, SMALL, replace(SMALL, n_v=1.0, dtau_late=200.0, n_tail=6))
    with pytest.raises(PrecisionError, match="finer than precision in nothing"):
        boltzax.check_accuracy(cosmo, OUTPUTS, boltzax.Precision.reference())


def test_every_preset_is_finer_than_the_one_before():
    """And so the direction of every setting that they vary is known."""
    fast, default, reference = boltzax.Precision.fast(), boltzax.Precision(), boltzax.Precision.reference()
    assert finest(fast, default) == default and finest(default, reference) == reference
    for field in fields(boltzax.Precision):
        if direction(field.name) == 0:
            assert getattr(fast, field.name) == getattr(reference, field.name)
