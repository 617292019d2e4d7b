"""The candl adapter: what it returns, and the real SPT-3G and ACT likelihoods with it."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

import boltzax
from boltzax.errors import ConflictingParametersError, OutOfRangeError, UnknownParameterError
from boltzax.inference import files
from boltzax.inference.candl import likelihood, theory_function
from boltzax.spectra.angular import AngularSpectra

CAMB_NAMES = {"H0": 67.36, "ombh2": 0.02237, "omch2": 0.12, "logA": 3.044, "ns": 0.9649, "tau": 0.0544}
NUISANCE = {"Tcal": 1.0, "Ecal": 1.0, "A_act": 1.0, "P_act": 1.0}


@pytest.fixture
def spectra(monkeypatch):
    """boltzax.solve replaced by C_l that tell cosmologies, spectra and multipoles apart."""

    def solve(cosmo, outputs, precision):
        ell = jax.numpy.arange(outputs.l_max + 1.0)
        rows = (1e-12 * (i + 1) * cosmo.h * cosmo.omega_b * (ell + 1.0) for i in range(7))
        return SimpleNamespace(lensed_cl=AngularSpectra(ell, *rows, T_cmb=cosmo.T_cmb))

    monkeypatch.setattr(boltzax, "solve", solve)
    return lambda cosmo, l_max: solve(cosmo, SimpleNamespace(l_max=l_max), None).lensed_cl.D_l("muK2")


def test_band_powers_under_the_names_of_camb(spectra):
    expected = spectra(boltzax.Cosmology(), 60)
    got = theory_function()(CAMB_NAMES | NUISANCE, 60, 5)
    for name in ("tt", "te", "ee", "bb"):
        np.testing.assert_allclose(got[name.upper()], getattr(expected, name)[5:], rtol=1e-12)
    np.testing.assert_allclose(got["pp"], expected.pp[5:], rtol=1e-12)
    ell = np.arange(5, 61)
    np.testing.assert_array_equal(got["ell"], ell)
    C_kk = expected.pp[5:] * 2 * np.pi / 4  # [l(l+1)]^2 C_pp / 4
    np.testing.assert_allclose(got["kk"], C_kk, rtol=1e-12)


def test_differentiable_and_fixed_parameters(spectra):
    function = theory_function(fixed={"omega_b": 0.03})
    parameters = {n: v for n, v in CAMB_NAMES.items() if n != "ombh2"}
    f = jax.jit(lambda H0: function(parameters | {"H0": H0}, 40)["TT"][10])
    value, slope = jax.value_and_grad(f)(70.0)
    assert value == pytest.approx(float(spectra(boltzax.Cosmology(h=0.7, omega_b=0.03), 40).tt[12]))
    assert slope == pytest.approx(float(value) / 70.0)


def test_data_beyond_the_solution(spectra):
    got = theory_function(l_max=50)(CAMB_NAMES, 60)
    assert got["EE"].shape == got["ell"].shape == (59,)
    assert np.all(got["EE"][49:] == 0.0) and got["EE"][48] > 0.0
    with pytest.raises(OutOfRangeError, match="give l_max"):
        theory_function()(CAMB_NAMES, 8501)


def test_refusals(spectra):
    with pytest.raises(UnknownParameterError, match="omega_b"):
        theory_function(fixed={"omega_bb": 0.02})
    with pytest.raises(ConflictingParametersError, match="given already"):
        theory_function()(CAMB_NAMES | {"omega_b": 0.02}, 60)
    with pytest.raises(ConflictingParametersError, match="tau"):
        theory_function(fixed={"tau_reio": 0.06})(CAMB_NAMES, 60)


def candl_folder(source: Path, target: Path) -> Path:
    """A data set as candl reads it: windows as text, where they are kept packed."""
    shutil.copytree(source, target)
    target.chmod(0o755)
    packed = target / "windows_lxl.npz"
    if packed.exists():
        (target / "windows").mkdir()
        with np.load(packed) as windows:
            for name in windows.files:
                np.savetxt(target / "windows" / f"{name}_lxl_window_functions.txt", windows[name], fmt="%.9g")
    return target


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get(files.ENVIRONMENT), reason=f"real data: {files.ENVIRONMENT} names no folder")
@pytest.mark.parametrize(
    "name, bins, l_max, bound", [("SPT3G_2018_TTTEEE_lite", 123, None, 0.05), ("ACT_DR6_CMB_only", 135, 6500, 0.19)]
)
def test_real_data(tmp_path, reference, name, bins, l_max, bound):
    """chi2 of Planck's cosmology is reasonable and that of CLASS at high precision (to its last multipole).

    bound: ACT feels 1e-4 of TT at 2000 < l < 3000, which is what the table is good to, as 0.09.
    """
    pytest.importorskip("candl")
    folders = files._folders(Path(os.environ[files.ENVIRONMENT]))
    folder = candl_folder(next(f for f in folders if (f / f"{name}.yaml").is_file()), tmp_path / "data")
    like = likelihood(folder / f"{name}.yaml", feedback=False)
    D_l = theory_function(l_max=l_max, nonlinear=None)(CAMB_NAMES, like.ell_max, like.ell_min)
    parameters = CAMB_NAMES | NUISANCE
    chi2 = float(like.chi_square(parameters | {"Dl": D_l}))
    assert 0.5 * bins < chi2 < 1.6 * bins
    if l_max is not None:  # ACT sees what lensing potentials beyond l = 5800 do, where the table's ends
        precision = boltzax.Precision(l_max_pp=4000)
        D_l = theory_function(l_max=4300, precision=precision, nonlinear=None)(CAMB_NAMES, like.ell_max, like.ell_min)
        chi2 = float(like.chi_square(parameters | {"Dl": D_l}))
    table, n = reference("fiducial"), 3000
    ell = np.arange(n + 1)
    factor = ell * (ell + 1) / (2 * np.pi) * 2.7255e6**2
    swapped = {k: np.array(v) for k, v in D_l.items()}
    for spectrum in ("tt", "te", "ee"):
        values = (factor * table[f"lensed_{spectrum}"][: n + 1])[like.ell_min :]
        swapped[spectrum.upper()][: values.size] = values
    assert chi2 == pytest.approx(float(like.chi_square(parameters | {"Dl": swapped})), abs=bound)
