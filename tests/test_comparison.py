"""Differences from CLASS and their summary."""

import numpy as np
import pytest

from boltzax import comparison
from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError
from boltzax.reference_settings import CLASS_REFERENCE, CLASS_REFERENCE_NCDM, class_reference_settings


def spectra(l_max=50):
    ell = np.arange(l_max + 1)
    row = np.where(ell < 2, 0.0, 1.0 / (ell + 1.0) ** 2)
    rows = {f"{kind}_{name}": row.copy() for kind in ("lensed", "unlensed") for name in ("tt", "ee", "te", "bb")}
    return {**rows, "pp": row.copy(), "pk": np.ones(5), "pk_nonlinear": np.ones(5)}


def test_differences_are_relative_and_te_to_the_geometric_mean():
    reference, ours = spectra(), spectra()
    reference["lensed_ee"] *= 0.25
    reference["lensed_te"] *= 0.0
    ours["lensed_ee"] = reference["lensed_ee"] * 1.5
    ours["lensed_te"] = 0.1 * ours["lensed_tt"]
    ours["pk"] = np.linspace(1.0, 1.4, 5)
    out = comparison.differences(ours, reference)
    assert set(out) == set(comparison.DIFFERENCES)
    del reference["pk_nonlinear"]
    assert set(out) - set(comparison.differences(ours, reference)) == {"pk_nonlinear"}
    assert np.all(np.isnan(out["lensed_tt"][:2])) and np.all(out["lensed_tt"][2:] == 0.0)
    np.testing.assert_allclose(out["lensed_ee"][2:], 0.5, rtol=1e-14)
    np.testing.assert_allclose(out["lensed_te"][2:], 0.1 / 0.5, rtol=1e-14)
    np.testing.assert_allclose(out["pk"], [0.0, 0.1, 0.2, 0.3, 0.4], atol=1e-15)


def test_summary_counts_every_l_and_k_once():
    k, h, l_max = np.geomspace(1e-4, 1.0, 5) * 0.7, 0.7, 600
    relative = {name: np.zeros(l_max + 1) for name in comparison.DIFFERENCES}
    relative |= {"pk": np.array([0.0, 0.0, -3.0, 0.0, 4.0]), "pk_nonlinear": np.array([0.0, 5.0, 0.0, 0.0, 0.0])}
    relative["lensed_tt"] = np.arange(l_max + 1.0)
    rows = comparison.summary(relative, l_max, k, h)
    tt = {band: (largest, rms) for label, band, largest, rms in rows if label == "TT lensed"}
    assert {band: values[0] for band, values in tt.items()} == {"l 2-29": 29.0, "l 30-499": 499.0, "l 500-600": 600.0}
    assert tt["l 2-29"][1] == pytest.approx(np.sqrt(np.mean(np.arange(2.0, 30.0) ** 2)), rel=1e-14)
    assert [row[2] for row in rows if row[0] == "P(k), z = 0"] == [0.0, 3.0, 4.0]
    assert [row[2] for row in rows if "nonlinear" in row[0]] == [5.0, 0.0, 0.0]
    assert [row[0] for row in rows if row[2] > 0 and "P(k)" not in row[0]] == ["TT lensed"] * 3


def test_reference_settings_of_massive_neutrinos():
    assert class_reference_settings(0) == CLASS_REFERENCE
    assert class_reference_settings(2) == {**CLASS_REFERENCE, **CLASS_REFERENCE_NCDM}


@pytest.mark.oracle
def test_class_spectra_are_those_of_classy():
    classy = pytest.importorskip("classy")
    cosmo, k = Cosmology(m_ncdm=(), h=0.7), np.array([0.001, 0.1])
    ours = comparison.class_spectra(cosmo, 100, k)
    run = classy.Class()
    run.set({"h": 0.7, "omega_b": 0.02237, "omega_cdm": 0.12, "ln_A_s_1e10": 3.044, "n_s": 0.9649, "tau_reio": 0.0544})
    run.set(
        {"N_ur": 3.044, "output": "tCl,pCl,lCl,mPk", "lensing": "yes", "l_max_scalars": 100, "P_k_max_1/Mpc": 0.101}
    )
    run.compute()
    for name in ("tt", "ee", "te", "bb"):
        np.testing.assert_allclose(ours[f"lensed_{name}"], run.lensed_cl(100)[name], rtol=1e-10)
    np.testing.assert_allclose(ours["unlensed_tt"], run.raw_cl(100)["tt"], rtol=1e-10)
    np.testing.assert_allclose(ours["pp"], run.raw_cl(100)["pp"], rtol=1e-10)
    np.testing.assert_allclose(ours["pk"], [run.pk_lin(x, 0.0) for x in k], rtol=1e-10)
    run.set({"non_linear": "halofit"})
    run.compute()
    halofit = comparison.class_spectra(cosmo, 100, k, nonlinear="halofit")
    np.testing.assert_allclose(halofit["pk_nonlinear"], [run.pk(x, 0.0) for x in k], rtol=1e-10)
    assert halofit["pk_nonlinear"][1] > 1.05 * halofit["pk"][1]


@pytest.mark.oracle
def test_class_refusals_are_named():
    pytest.importorskip("classy")
    with pytest.raises(BoltzaxError, match="CLASS failed"):
        comparison.class_spectra(Cosmology(tau_reio=0.9), 100, np.array([0.1]))
