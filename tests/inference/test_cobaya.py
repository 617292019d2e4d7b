"""boltzax inside cobaya: what the theory hands out, both sets of names, evaluation, a short chain, real likelihoods."""

import dataclasses
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from oracle import reference as oracle_reference
from oracle.experiment import SMALL

import boltzax
from boltzax import inference
from boltzax.errors import NotImplementedParameterError
from boltzax.inference import files

pytest.importorskip("cobaya")

from cobaya.install import _version_filename
from cobaya.log import LoggedError
from cobaya.model import get_model
from cobaya.run import run

THEORY = "boltzax.inference.cobaya.Boltzax"
Z = (0.0, 0.5, 1.0)
CLASS_NAMES = {"h": 0.68, "omega_b": 0.0223, "omega_cdm": 0.119, "A_s": 2.1e-9, "n_s": 0.96, "tau_reio": 0.055}
CAMB_NAMES = {"H0": 68.0, "ombh2": 0.0223, "omch2": 0.119, "As": 2.1e-9, "ns": 0.96, "tau": 0.055}
REQUIREMENTS = {
    "Cl": {"tt": 400, "te": 400, "ee": 400, "pp": 400, "tp": 400}, "unlensed_Cl": {"tt": 300}, "Hubble": {"z": Z},
    "angular_diameter_distance": {"z": Z}, "comoving_radial_distance": {"z": Z}, "rdrag": None, "omegam": None,
    "Pk_interpolator": {"z": Z, "k_max": 0.9, "nonlinear": (True, False)}, "sigma8_z": {"z": Z}, "fsigma8": {"z": Z},
    "angular_diameter_distance_2": {"z_pairs": [(0.5, 1.0), (1.0, 0.5)]}, "Omega_b": {"z": Z}, "Omega_cdm": {"z": Z},
    "Omega_nu_massive": {"z": Z}, "sigma_R": {"z": Z, "R": [8.0 / 0.68], "k_max": 0.9},
}  # fmt: skip


def options(**others):
    small = {"precision": dataclasses.asdict(SMALL), "l_max": 400, "stop_at_error": True}
    return {THEORY: {**small, "extra_args": {"m_ncdm": 0.06}} | others}


def model(params, requirements=REQUIREMENTS, **others):
    """A cobaya model whose only likelihood asks for the requirements."""
    like = {"asks": {"external": lambda _self=None: 0.0, "requires": requirements}}
    return get_model({"theory": options(**others), "likelihood": like, "params": params})


@pytest.fixture(scope="module")
def solution():
    cosmo = boltzax.Cosmology(**CLASS_NAMES, m_ncdm=0.06)
    return boltzax.solve(cosmo, boltzax.Outputs(l_max=400, nonlinear="hmcode2020"), SMALL)


@pytest.fixture(scope="module", params=[CLASS_NAMES, CAMB_NAMES], ids=["CLASS", "CAMB"])
def provider(request):
    derived = {"sigma8": None, "zrei": None, "S8": None}
    one = model(request.param | derived)
    one.logposterior({})
    return one.provider


def test_spectra_and_their_units(provider, solution):
    D_l = solution.lensed_cl.D_l("muK2")
    got = provider.get_Cl(ell_factor=True, units="muK2")
    for name in ("tt", "te", "ee", "bb", "pp", "tp"):
        np.testing.assert_allclose(got[name], getattr(D_l, name), rtol=1e-10, err_msg=name)
    plain = provider.get_Cl(units="1")
    np.testing.assert_allclose(plain["te"], solution.lensed_cl.te, rtol=1e-10)
    np.testing.assert_allclose(plain["pp"], solution.lensed_cl.pp, rtol=1e-10)
    np.testing.assert_array_equal(got["ell"], np.arange(401))
    unlensed = provider.get_unlensed_Cl(units="K2")
    np.testing.assert_allclose(unlensed["tt"], solution.unlensed_cl.tt * 2.7255**2, rtol=1e-10)


def test_background(provider, solution):
    bg, z = solution.background, np.array(Z)
    H = bg.hubble(-np.log1p(z))
    np.testing.assert_allclose(provider.get_Hubble(z), 299792.458 * H, rtol=1e-12)
    assert provider.get_Hubble(0.0)[0] == pytest.approx(68.0, rel=1e-6)
    np.testing.assert_allclose(provider.get_Hubble(z, units="1/Mpc"), H, rtol=1e-12)
    chi = np.asarray(bg.comoving_distance(z))
    np.testing.assert_allclose(provider.get_comoving_radial_distance(z), chi, rtol=1e-12)
    np.testing.assert_allclose(provider.get_angular_diameter_distance(z), chi / (1 + z), rtol=1e-12)
    pairs = provider.get_angular_diameter_distance_2([(0.5, 1.0), (1.0, 0.5)])
    np.testing.assert_allclose(pairs, [(chi[2] - chi[1]) / 2.0, 0.0], rtol=1e-12)
    fractions = [getattr(provider, f"get_Omega_{x}")(0.0)[0] for x in ("b", "cdm", "nu_massive")]
    assert fractions[:2] == pytest.approx([0.0223 / 0.68**2, 0.119 / 0.68**2], rel=1e-6)
    assert sum(fractions) == pytest.approx(float(solution.derived.Omega_m), rel=1e-9)


def test_matter(provider, solution):
    k = np.geomspace(1e-3, 0.5, 20)
    linear, nonlinear = (provider.get_Pk_interpolator(nonlinear=which) for which in (False, True))
    for z in Z:
        np.testing.assert_allclose(linear.P(z, k), solution.pk_lin(k, z), rtol=1.2e-5)
        np.testing.assert_allclose(nonlinear.P(z, k), solution.pk(k, z), rtol=2e-5)
    assert nonlinear.P(0.0, 0.5) > 1.5 * linear.P(0.0, 0.5)
    sigma8 = provider.get_sigma8_z(Z)
    assert sigma8[0] == pytest.approx(float(solution.derived.sigma8), rel=1e-9)
    np.testing.assert_allclose(provider.get_sigma_R()[2][:, 0], sigma8, rtol=1e-9)
    assert np.all(np.diff(sigma8) < 0.0)
    f = provider.get_fsigma8(Z) / sigma8
    Omega_m = sum(getattr(provider, f"get_Omega_{x}")(Z) for x in ("b", "cdm", "nu_massive"))
    np.testing.assert_allclose(f, Omega_m**0.55, rtol=0.015)  # the growth rate of LCDM


def test_derived_parameters(provider, solution):
    assert provider.get_param("rdrag") == pytest.approx(float(solution.derived.rs_drag))
    assert provider.get_param("omegam") == pytest.approx(float(solution.derived.Omega_m))


def test_what_cannot_be_computed_is_refused_before_sampling():
    with pytest.raises(LoggedError, match="extra_args say 'non_linear: none'"):
        model(CLASS_NAMES, {"Pk_interpolator": {"z": Z, "k_max": 1.0}}, extra_args={"non_linear": "none"})
    with pytest.raises(LoggedError, match="of all matter"):
        model(CLASS_NAMES, {"Pk_grid": {"z": Z, "k_max": 1.0, "vars_pairs": [("delta_nonu", "delta_nonu")]}})
    with pytest.raises(NotImplementedParameterError, match="non_linear"):
        model(CLASS_NAMES, extra_args={"non_linear": "mead2016"})
    with pytest.raises(Exception, match="omega_b"):
        model(CLASS_NAMES, extra_args={"omega_bb": 0.02})
    with pytest.raises(LoggedError, match="not implemented"):
        model(CLASS_NAMES, {"Pk_grid": {"z": Z, "k_max": 1.0, "nonlinear": False, "vars_pairs": [("Weyl", "Weyl")]}})


def test_a_point_without_solution_has_no_likelihood():
    one = model(CLASS_NAMES | {"tau_reio": 1e-5}, {"Cl": {"tt": 400}}, stop_at_error=False)
    assert one.logposterior({}).loglikes[0] == -np.inf


def test_what_fails_at_every_point_stops():
    """Not as a chain of points without likelihood."""
    one = model(CLASS_NAMES, {"Cl": {"tt": 400}}, stop_at_error=False, extra_args={"f_bi": 0.1})
    with pytest.raises(LoggedError, match="nonlinear corrections and isocurvature cannot be combined"):
        one.logposterior({})


@pytest.mark.parametrize(
    "given, method",
    [
        ({}, "hmcode2020"),
        ({"non_linear": "none"}, None),
        ({"non linear": False}, None),
        ({"non_linear": "halofit"}, "halofit"),
        ({"hmcode_version": "2020_baryonic_feedback"}, "hmcode2020_feedback"),
    ],
)
def test_nonlinear_method(given, method):
    assert model(CLASS_NAMES, {"rdrag": None}, extra_args=given).theory[THEORY]._nonlinear == method


def test_a_short_chain():
    """Two parameters under a Gaussian in sigma8 and H0; derived parameters are recorded."""

    def like(_self):
        return -0.5 * ((_self.provider.get_param("sigma8") - 0.8) / 0.01) ** 2

    params = CLASS_NAMES | {
        "A_s": {"prior": {"min": 1.5e-9, "max": 2.5e-9}, "ref": 2.1e-9, "proposal": 5e-11},
        "sigma8": {"latex": r"\sigma_8"},
    }
    info = {
        "theory": options(), "params": params,
        "likelihood": {"one": {"external": like, "requires": {"sigma8": None}}},
        "sampler": {"mcmc": {"max_samples": 12, "seed": 1, "measure_speeds": False}},
    }  # fmt: skip
    _, sampler = run(info)
    rows = sampler.products()["sample"].data
    ratio = rows["sigma8"].to_numpy(float) / np.sqrt(rows["A_s"].to_numpy(float))
    assert len(rows) >= 12 and np.ptp(rows["A_s"]) > 0.0
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-8)  # sigma8^2 is proportional to A_s


# -- cobaya's own likelihoods with real data ---------------------------------------------------------------------------

needs_data = pytest.mark.skipif(
    not os.environ.get(files.ENVIRONMENT), reason=f"real data: {files.ENVIRONMENT} names no folder (docs/inference.md)"
)
DATASET = """use_cl = tt te ee
nbintt = 215
nbinte = 199
nbinee = 199
lmax = 2508
bin_lmin_offset = 30
data = cl_cmb_plik_v22.dat
blmin = blmin.dat
blmax = blmax.dat
weights = bweight.dat
cov_file_binary = c_matrix_plik_v22.dat
calibration_param = A_planck
"""


def folder_with(name: str) -> Path:
    return next(f for f in files._folders(Path(os.environ[files.ENVIRONMENT])) if (f / name).is_file())


@needs_data
def test_chi2_of_real_likelihoods_is_that_of_class(tmp_path, reference):
    """cobaya's plik-lite and DESI with boltzax, against boltzax.inference, and against CLASS at high precision."""
    plik, bao = folder_with("cl_cmb_plik_v22.dat"), folder_with("desi_gaussian_bao_ALL_GCcomb_mean.txt")
    installed = tmp_path / "data" / "planck_2018_pliklite_native"
    installed.mkdir(parents=True)
    for path in plik.glob("*.dat"):
        (installed / path.name).symlink_to(path)
    (installed / "plik_lite_v22.dataset").write_text(DATASET)
    (installed / _version_filename).write_text("v1")
    (tmp_path / "data" / "bao_data").mkdir()
    (tmp_path / "data" / "bao_data" / "desi_bao_dr2").symlink_to(bao)
    (tmp_path / "data" / "bao_data" / _version_filename).write_text("v99")
    names = ("planck_2018_highl_plik.TTTEEE_lite_native", "bao.desi_dr2.desi_bao_all")
    cosmo = boltzax.Cosmology(**oracle_reference.POINTS["fiducial"])
    sampled = ("h", "omega_b", "omega_cdm", "A_s", "n_s", "tau_reio", "N_ur", "YHe")
    params = {name: float(getattr(cosmo, name)) for name in sampled}
    one = get_model({
        "theory": {THEORY: {"extra_args": {"m_ncdm": 0.06, "non_linear": "none"}, "stop_at_error": True}},
        "likelihood": {names[0]: None, names[1]: None},
        "params": params | {"A_planck": 1.0},
        "packages_path": str(tmp_path),
    })  # fmt: skip
    got = dict(zip(one.likelihood, -2.0 * np.asarray(one.loglikes({}, return_derived=False)), strict=True))
    ours = [inference.PlikLite(), inference.DESI()]
    theory = inference.Observables(ours[1].z)(boltzax.solve(cosmo, boltzax.Outputs(l_max=2508)))
    for name, like in zip(names, ours, strict=True):
        assert got[name] == pytest.approx(-2.0 * float(like.loglike(theory)), abs=1e-5)
    factor = np.arange(2509) * np.arange(1, 2510) / (2 * np.pi) * 2.7255e6**2
    table = reference("fiducial")
    spectra = {s: jnp.asarray(factor * table[f"lensed_{s}"][:2509]) for s in ("tt", "te", "ee")}
    expected = -2.0 * float(ours[0].loglike(dataclasses.replace(theory, **spectra)))
    assert got[names[0]] == pytest.approx(expected, abs=0.05)
