"""The classy-shaped class: settings, results under CLASS's names, and what it refuses by name."""

import numpy as np
import pytest
from oracle.experiment import SMALL

import boltzax
from boltzax.compat import Class, CosmoComputationError, CosmoSevereError, MissingMethodError
from boltzax.compat_settings import translate
from boltzax.errors import NotImplementedParameterError

SETTINGS = {
    "output": "tCl,pCl,lCl,mPk", "lensing": "yes", "l_max_scalars": 400, "P_k_max_1/Mpc": 1.0, "H0": 68.0,
    "omega_b": 0.0223, "omega_cdm": 0.119, "ln10^{10}A_s": 3.04, "n_s": 0.96, "tau_reio": 0.055, "N_ncdm": 1,
    "m_ncdm": "0.06", "N_ur": 2.0328, "YHe": "BBN", "input_verbose": 1, "Omega_k": 0.0, "modes": "s",
}  # fmt: skip


@pytest.fixture(scope="module")
def both():
    """The class after compute, and what boltzax.solve returns for the same cosmology."""
    cosmo = Class(precision=SMALL)
    cosmo.set(SETTINGS)
    cosmo.compute()
    expected = boltzax.Cosmology(
        h=0.68, omega_b=0.0223, omega_cdm=0.119, ln_A_s_1e10=3.04, n_s=0.96, tau_reio=0.055, m_ncdm=0.06, N_ur=2.0328
    )
    return cosmo, boltzax.solve(expected, boltzax.Outputs(l_max=400), SMALL)


def test_spectra(both):
    cosmo, results = both
    for got, expected in ((cosmo.lensed_cl(), results.lensed_cl), (cosmo.raw_cl(), results.unlensed_cl)):
        for name in ("tt", "te", "ee", "pp", "tp"):
            np.testing.assert_allclose(got[name], getattr(expected, name), rtol=1e-10)
    assert cosmo.lensed_cl(300)["ell"][-1] == 300
    with pytest.raises(CosmoSevereError, match="l_max_scalars"):
        cosmo.lensed_cl(401)


def test_matter(both):
    cosmo, results = both
    k, z = np.array([0.01, 0.1]), np.array([0.0, 1.0])
    P = np.asarray(results.pk_lin(k, z))
    assert cosmo.pk(0.1, 1.0) == pytest.approx(P[1, 1], rel=1e-9)
    assert cosmo.pk_cb_lin(0.1, 1.0) > cosmo.pk_lin(0.1, 1.0)
    np.testing.assert_allclose(cosmo.get_pk_all(k, z), P, rtol=1e-9)
    np.testing.assert_allclose(cosmo.get_pk_array(k, z, 2, 2), P.ravel(), rtol=1e-9)
    assert cosmo.sigma(8.0, 0.0, h_units=True) == pytest.approx(cosmo.sigma8(), rel=1e-9)
    assert cosmo.sigma(8.0, 0.0) > cosmo.sigma8()  # a smaller sphere
    assert cosmo.sigma_cb(8.0, 0.0) > cosmo.sigma(8.0, 0.0)
    with pytest.raises(CosmoSevereError, match="raise R"):
        cosmo.sigma(0.5, 0.0)
    assert cosmo.effective_f_sigma8(1.0) == float(results.f_sigma8(1.0))
    assert cosmo.scale_independent_growth_factor(1.0) == float(results.growth_factor(1.0))
    assert cosmo.scale_independent_growth_factor_f(1.0) == float(results.growth_rate(1.0))
    assert cosmo.scale_dependent_growth_factor_f(0.1, 1.0) == float(results.growth_rate(1.0, 0.1)[0])
    found = cosmo.get_transfer(1.0)
    np.testing.assert_array_equal(found["d_m"], results.transfer(1.0)["d_m"])
    assert "-T_cdm/k2" in cosmo.get_transfer(1.0, output_format="camb")
    with pytest.raises(CosmoSevereError, match="k_max"):
        cosmo.pk(50.0, 0.0)


def test_background_and_thermodynamics(both):
    cosmo = both[0]
    assert cosmo.Hubble(0.0) * 299792.458 == pytest.approx(68.0, rel=1e-6)
    assert cosmo.luminosity_distance(1.0) == pytest.approx(4.0 * cosmo.angular_distance(1.0))
    assert cosmo.Om_m(0.0) == pytest.approx(cosmo.Omega_m(), rel=1e-9)
    bg = cosmo.get_background()
    assert bg["z"][-1] == pytest.approx(0.0, abs=1e-12) and bg["H [1/Mpc]"][-1] == pytest.approx(cosmo.Hubble(0.0))
    total = sum(value for name, value in bg.items() if name.startswith("(.)rho") and name != "(.)rho_crit")
    np.testing.assert_allclose(total, bg["(.)rho_crit"], rtol=1e-9)
    th = cosmo.get_thermodynamics()
    assert th["z"][np.argmax(np.where(th["z"] > 500, th["g [Mpc^-1]"], 0.0))] == pytest.approx(cosmo.z_rec(), rel=2e-3)


def test_derived_parameters(both):
    cosmo, results = both
    names = ["100*theta_s", "sigma8", "Omega_m", "Neff", "rs_d", "z_d", "H0", "A_s", "m_ncdm_tot", "YHe"]
    got = cosmo.get_current_derived_parameters(names)
    assert got["100*theta_s"] == pytest.approx(float(results.derived.theta_s_100))
    assert got["rs_d"] == cosmo.rs_drag() and got["H0"] == pytest.approx(68.0) and got["m_ncdm_tot"] == 0.06
    assert got["A_s"] == pytest.approx(np.exp(3.04) * 1e-10)
    with pytest.raises(CosmoSevereError, match="Gamma"):
        cosmo.get_current_derived_parameters(["Gamma"])


@pytest.mark.parametrize(
    "setting, error, message",
    [
        ({"non linear": "hmcode", "hmcode_version": "2015"}, NotImplementedParameterError, "hmcode 2015"),
        ({"w0_fld": -0.9}, CosmoSevereError, "Omega_Lambda = 0"),
        ({"f_cdi": 0.1}, CosmoSevereError, "ic = 'ad,cdi'"),
        ({"ic": "cdi"}, NotImplementedParameterError, "ic = cdi"),
        ({"output": "tCl,nCl"}, NotImplementedParameterError, "output 'nCl'"),
        ({"Omega_k": 0.01, "modes": "s,t"}, NotImplementedParameterError, "Omega_k"),
        ({"100*theta_s": 3.0}, CosmoSevereError, "no h between"),
        ({"modes": "s,v"}, NotImplementedParameterError, "modes"),
        ({"r": 0.1}, CosmoSevereError, "modes = 's,t'"),
        ({"varying_me": 1.01}, CosmoSevereError, "varying_fundamental_constants = 'instantaneous'"),
        ({"chi_type": "heat"}, NotImplementedParameterError, "chi_type"),
        ({"N_idr": 0.1}, NotImplementedParameterError, "idr_nature = free_streaming"),
        ({"Gamma_dcdm": 1.0}, CosmoSevereError, "omega_ini_dcdm"),
        ({"omega_bb": 0.02}, CosmoSevereError, "omega_b"),
        ({"h": -1.0}, CosmoSevereError, "h = -1"),
    ],
)
def test_settings_that_are_refused(setting, error, message):
    cosmo = Class()
    cosmo.set(setting)
    with pytest.raises(error, match=message):
        cosmo.compute()


def test_extensions_are_those_of_class():
    """What CLASS means by its settings of extensions, without solving."""
    cosmo, outputs = translate(
        {
            "Omega_Lambda": 0.0, "w0_fld": -0.9, "wa_fld": 0.1, "ic": "ad, cdi", "c_ad_cdi": 0.2,
            "non_linear": "hmcode", "hmcode_version": "2020_baryonic_feedback", "log10T_heat_hmcode": 7.7,
            "modes": "s,t", "alpha_s": 0.01, "varying_fundamental_constants": "instantaneous", "varying_me": 1.01,
            "varying_transition_redshift": 50, "DM_annihilation_efficiency": 1e-24, "chi_type": "CK_2004",
        }
    )  # fmt: skip
    assert (float(cosmo.w0_fld), float(cosmo.wa_fld), float(cosmo.r)) == (-0.9, 0.1, 1.0)
    assert float(cosmo.isocurvature[0].f) == 1.0 and float(cosmo.isocurvature[0].c_ad) == 0.2
    assert outputs.nonlinear == "hmcode2020_feedback" and float(cosmo.log10T_heat_hmcode) == 7.7
    constants = float(cosmo.varying_alpha), float(cosmo.varying_me), float(cosmo.DM_annihilation_efficiency)
    assert constants == (1.0, 1.01, 1e-24)
    theirs = boltzax.Cosmology(varying_alpha=1.02).to_classy()
    assert theirs["varying_fundamental_constants"] == "instantaneous" and theirs["varying_alpha"] == 1.02
    assert translate({"Omega_Lambda": 0})[0].Omega_fld > 0.6
    (radiation,) = translate({"N_idr": 0.2, "idr_nature": "fluid"})[0].fluids
    (decaying,) = translate({"h": 0.7, "omega_cdm": 0.06, "Gamma_dcdm": 3.0, "Omega_ini_dcdm": 0.1})[0].fluids
    assert float(radiation.N_idr) == 0.2 and float(decaying.Gamma_dcdm) == 3.0
    assert float(decaying.omega_ini_dcdm) == pytest.approx(0.049, rel=1e-12)


def test_methods_that_are_not_there_are_named():
    with pytest.raises(MissingMethodError, match="'get_sources'"):
        Class().get_sources()
    assert not hasattr(Class(), "get_perturbations")
    with pytest.raises(CosmoComputationError, match="compute"):
        Class().lensed_cl()


def test_setting_forgets_results_and_empty_forgets_settings():
    cosmo = Class()
    cosmo.set(h=0.7, output="tCl")
    assert cosmo.pars == {"h": 0.7, "output": "tCl"} and not cosmo.state
    cosmo.empty()
    assert cosmo.pars == {}
