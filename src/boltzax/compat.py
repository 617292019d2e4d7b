"""A class shaped like `classy.Class`, so that scripts written for CLASS run on boltzax for what it computes.

    from boltzax.compat import Class

What is not there, method or setting, raises an error that names it. Differentiable work is done with `boltzax.solve`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

import boltzax
from boltzax.compat_settings import CosmoSevereError, translate
from boltzax.errors import BoltzaxError, NotComputedError, NotImplementedParameterError, OutOfRangeError, nearest_name
from boltzax.precision import Precision
from boltzax.results import Results

__all__ = ["Class", "CosmoComputationError", "CosmoSevereError", "MissingMethodError"]

_DERIVED = {
    "100*theta_s": "theta_s_100", "Neff": "N_eff", "conformal_age": "tau_0", "z_d": "z_drag", "rs_d": "rs_drag",
    "z_star": "z_star", "rs_star": "rs_star", "Omega0_m": "Omega_m", "Omega0_lambda": "Omega_Lambda",
}  # fmt: skip


class CosmoComputationError(BoltzaxError, RuntimeError):
    """A stage failed, or a result was asked for that was not computed (the name that classy gives)."""


class MissingMethodError(BoltzaxError, AttributeError):
    """A method of classy that boltzax.compat.Class does not have."""


class Class:
    """`set` parameters and outputs under CLASS's names, `compute`, and read results in CLASS's units.

    Spectra are dimensionless C_l from l = 0, k is in 1/Mpc, P(k) in Mpc^3, distances in Mpc, H in 1/Mpc. precision: of
    boltzax, in place of CLASS's precision parameters.
    """

    def __init__(self, precision: Precision = Precision()):  # noqa: B008
        self.precision = precision
        self._settings: dict[str, Any] = {}
        self._results: Results | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        near = nearest_name(name, [n for n in dir(type(self)) if not n.startswith("_")])
        advice = f" (there is '{near}')" if near else ""
        raise MissingMethodError(f"classy's '{name}' is not available in boltzax.compat.Class{advice}")

    # -- settings ----------------------------------------------------------------------------------------------------

    def set(self, *parameters: Mapping[str, Any], **others: Any) -> bool:
        """Adds settings; they are checked by `compute`. What was computed is forgotten."""
        for group in (*parameters, others):
            self._settings.update(group)
        self._results = None
        return True

    def empty(self) -> None:
        """Forgets settings and results."""
        self._settings, self._results = {}, None

    def struct_cleanup(self) -> None:
        """Forgets results."""
        self._results = None

    @property
    def pars(self) -> dict[str, Any]:
        """What was set."""
        return dict(self._settings)

    @property
    def state(self) -> bool:
        """Whether results are there."""
        return self._results is not None

    def compute(self, level: Any = None) -> None:
        """Solves; level is accepted and everything is computed. Raises CosmoSevereError, CosmoComputationError."""
        if self._results is not None:
            return
        cosmo, outputs = translate(self._settings)
        try:
            self._results = boltzax.solve(cosmo, outputs, self._precision())
        except BoltzaxError as error:
            raise CosmoComputationError(str(error)) from error

    def _precision(self) -> Precision:
        """The precision, with tensor spectra to l_max_tensors."""
        given = self._settings.get("l_max_tensors")
        return self.precision if given is None else replace(self.precision, l_max_tensors=int(given))

    @property
    def results(self) -> Results:
        """Everything, as `boltzax.solve` returns it; raises CosmoComputationError before `compute`."""
        if self._results is None:
            raise CosmoComputationError("nothing is computed yet: call compute() first")
        return self._results

    # -- spectra -----------------------------------------------------------------------------------------------------

    def _cl(self, spectra: Any, names: tuple[str, ...], lmax: int) -> dict[str, np.ndarray]:
        top = len(spectra.ell) - 1
        if lmax > top:
            raise CosmoSevereError(f"lmax = {lmax} was asked for, {top} computed: set l_max_scalars")
        cut = slice(None, None if lmax == -1 else lmax + 1)
        out = {name: np.asarray(getattr(spectra, name))[cut] for name in names}
        return out | {"ell": np.arange(top + 1)[cut]}

    def lensed_cl(self, lmax: int = -1, nofail: bool = False) -> dict[str, np.ndarray]:
        """Lensed C_l: tt, te, ee, bb, pp, tp, ep, ell."""
        return self._cl(self.results.lensed_cl, ("tt", "te", "ee", "bb", "pp", "tp", "ep"), lmax)

    def raw_cl(self, lmax: int = -1, nofail: bool = False) -> dict[str, np.ndarray]:
        """Unlensed C_l: tt, te, ee, bb, pp, tp, ep, ell."""
        return self._cl(self.results.unlensed_cl, ("tt", "te", "ee", "bb", "pp", "tp", "ep"), lmax)

    def pk_lin(self, k: float, z: float) -> float:
        """Linear P(k, z) of all matter [Mpc^3] at k [1/Mpc]."""
        return float(self._pk(k, z, "m")[0])

    def pk(self, k: float, z: float) -> float:
        """P(k, z) of all matter [Mpc^3] at k [1/Mpc], nonlinear if non_linear was set."""
        return float(self._pk(k, z, "m", self.results.nonlinear is not None)[0])

    def pk_cb_lin(self, k: float, z: float) -> float:
        """Linear P(k, z) of baryons and cold dark matter [Mpc^3] at k [1/Mpc]."""
        return float(self._pk(k, z, "cb")[0])

    pk_cb = pk_cb_lin

    def get_pk_all(self, k: Any, z: Any, nonlinear: bool = False, cdmbar: bool = False) -> np.ndarray:
        """P(k, z) [Mpc^3] of the shape of z and then k (or of k, if z is a number)."""
        if nonlinear and cdmbar:
            raise NotImplementedParameterError("non-linear P(k) of baryons and cdm alone is not available in boltzax")
        return self._pk(k, z, "cb" if cdmbar else "m", nonlinear)

    def get_pk_array(self, k: Any, z: Any, k_size: int, z_size: int, nonlinear: bool = False) -> np.ndarray:
        """P(k, z) [Mpc^3], flattened with k running fastest."""
        return self.get_pk_all(np.asarray(k)[:k_size], np.asarray(z)[:z_size], nonlinear).ravel()

    def _pk(self, k: Any, z: Any, species: str, nonlinear: bool = False) -> np.ndarray:
        try:
            if nonlinear:
                return np.asarray(self.results.pk(np.atleast_1d(k), z))
            return np.asarray(self.results.pk_lin(np.atleast_1d(k), z, species=species))
        except (OutOfRangeError, NotComputedError) as error:
            raise CosmoSevereError(str(error)) from error

    def sigma(self, R: float, z: float, h_units: bool = False) -> float:
        """RMS contrast of matter in spheres of R Mpc (Mpc/h with h_units) at redshift z."""
        return self._variance(R / self.results.cosmology.h if h_units else R, z, "m")

    def sigma_cb(self, R: float, z: float, h_units: bool = False) -> float:
        """The same of baryons and cold dark matter."""
        return self._variance(R / self.results.cosmology.h if h_units else R, z, "cb")

    def _variance(self, R: float, z: float, species: str) -> float:
        try:
            return float(self.results.sigma(R, z, species))
        except OutOfRangeError as error:
            raise CosmoSevereError(str(error)) from error

    def effective_f_sigma8(self, z: float, z_step: float = 0.0) -> float:
        """d sigma8 / d ln a; z_step is not needed."""
        return float(self.results.f_sigma8(z))

    def scale_independent_growth_factor(self, z: float) -> float:
        """D(z), 1 today."""
        return float(self.results.growth_factor(z))

    def scale_independent_growth_factor_f(self, z: float) -> float:
        """f(z) = d ln D / d ln a."""
        return float(self.results.growth_rate(z))

    def scale_dependent_growth_factor_f(self, k: float, z: float, z_step: float = 0.0) -> float:
        """d ln delta_m / d ln a at k [1/Mpc]; z_step is not needed."""
        return float(self.results.growth_rate(z, k)[0])

    def get_transfer(self, z: float = 0.0, output_format: str = "class") -> dict[str, np.ndarray]:
        """Transfer functions at the solved wavenumbers, under CLASS's or CAMB's column names."""
        return {name: np.asarray(value) for name, value in self.results.transfer(z, format=output_format).items()}

    def sigma8(self) -> float:
        """sigma8 of matter today."""
        return self._derived("sigma8")

    def S8(self) -> float:
        """sigma8 (Omega_m / 0.3)^(1/2)."""
        return self._derived("S8")

    # -- background --------------------------------------------------------------------------------------------------

    def Hubble(self, z: Any) -> Any:
        """H(z) [1/Mpc]."""
        return self._at("hubble", z, ln_a=True)

    def angular_distance(self, z: Any) -> Any:
        """Angular diameter distance to z [Mpc]."""
        return self._at("angular_diameter_distance", z)

    def comoving_distance(self, z: Any) -> Any:
        """Comoving distance to z [Mpc]."""
        return self._at("comoving_distance", z)

    def luminosity_distance(self, z: Any) -> Any:
        """Luminosity distance to z [Mpc]."""
        return self._at("transverse_distance", z) * (1.0 + np.asarray(z))

    def Om_m(self, z: Any) -> Any:
        """Density of baryons, cold dark matter and massive neutrinos over critical at z."""
        bg, a = self.results.background, 1.0 / (1.0 + np.asarray(z, dtype=float))
        rho = bg.rho_b / a**3 + bg.rho_cold(jnp.asarray(a))
        if bg.M_ncdm.shape[0]:
            rho = rho + bg.rho_ncdm(jnp.asarray(a))[0].sum(-1)
        return _plain(rho / bg.hubble(np.log(a)) ** 2)

    def _at(self, name: str, z: Any, ln_a: bool = False) -> Any:
        z = np.asarray(z, dtype=float)
        return _plain(getattr(self.results.background, name)(-np.log1p(z) if ln_a else z))

    def get_background(self) -> dict[str, np.ndarray]:
        """The background over decreasing z, under CLASS's column names."""
        bg = self.results.background
        ln_a = np.linspace(-24.0, 0.0, 4000)
        a, z = np.exp(ln_a), np.expm1(-ln_a)
        ncdm = bg.rho_ncdm(jnp.asarray(a))[0] if bg.M_ncdm.shape[0] else np.zeros((a.size, 0))
        columns = {
            "z": z, "proper time [Gyr]": bg.cosmic_time(ln_a), "conf. time [Mpc]": bg.conformal_time(ln_a),
            "H [1/Mpc]": bg.hubble(ln_a), "comov. dist.": bg.comoving_distance(z),
            "ang.diam.dist.": bg.transverse_distance(z) * a, "lum. dist.": bg.transverse_distance(z) / a,
            "comov.snd.hrz.": bg.sound_horizon(ln_a), "(.)rho_g": bg.rho_g / a**4, "(.)rho_b": bg.rho_b / a**3,
            "(.)rho_cdm": bg.rho_cdm / a**3, "(.)rho_ur": bg.rho_ur / a**4, "(.)rho_lambda": bg.rho_lambda + 0.0 * a,
            "(.)rho_crit": bg.hubble(ln_a) ** 2,
        }  # fmt: skip
        columns |= {f"(.)rho_ncdm[{i}]": ncdm[:, i] for i in range(ncdm.shape[1])}
        return {name: np.asarray(value) for name, value in columns.items()}

    def get_thermodynamics(self) -> dict[str, np.ndarray]:
        """The thermal history over increasing z, under CLASS's column names."""
        bg, th = self.results.background, self.results.thermodynamics
        ln_a = np.linspace(0.0, -11.5, 8000)
        state = th.at(ln_a)
        columns = {
            "z": np.expm1(-ln_a), "conf. time [Mpc]": bg.conformal_time(ln_a), "x_e": state.x_e,
            "kappa' [Mpc^-1]": state.kappa_prime, "exp(-kappa)": state.exp_m_kappa, "g [Mpc^-1]": state.g,
            "Tb [K]": state.T_b, "c_b^2": state.cb2,
        }  # fmt: skip
        return {name: np.asarray(value) for name, value in columns.items()}

    # -- derived parameters ------------------------------------------------------------------------------------------

    def _derived(self, name: str) -> float:
        r, known = self.results, _DERIVED.get(name, name)
        if name == "m_ncdm_tot":
            return float(np.sum(np.asarray(r.cosmology.m_ncdm) * np.asarray(r.cosmology.deg_ncdm)))
        if name in ("Omega_nu", "omega_nu"):
            density = float(np.sum(np.asarray(r.cosmology.omega_ncdm)))
            return density if name == "omega_nu" else density / float(r.cosmology.h) ** 2
        for source in (r.derived, r.cosmology):
            if getattr(source, known, None) is not None:
                return float(getattr(source, known))
        raise CosmoSevereError(f"derived parameter '{name}' is not available in boltzax")

    def get_current_derived_parameters(self, names: list[str]) -> dict[str, float]:
        """Derived parameters by CLASS's names; raises CosmoSevereError for those that boltzax does not know."""
        return {name: self._derived(name) for name in names}

    get_derived = get_current_derived_parameters

    def get_parameters(self) -> dict[str, Any]:
        """Every parameter of the cosmology."""
        return self.results.cosmology.to_dict()


def _plain(value: Any) -> Any:
    """A float for a number, a NumPy array otherwise."""
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def _getter(name: str, meaning: str) -> Any:
    def get(self: Class) -> float:
        return self._derived(name)

    get.__name__, get.__doc__ = name, meaning
    return get


for _name, _source, _meaning in (
    ("h", "h", "H0 / (100 km/s/Mpc)."), ("T_cmb", "T_cmb", "CMB temperature [K]."), ("n_s", "n_s", "Spectral index."),
    ("tau_reio", "tau_reio", "Optical depth."), ("z_reio", "z_reio", "Redshift of reionization."),
    ("age", "age", "Age [Gyr]."), ("rs_drag", "rs_drag", "Sound horizon at the drag epoch [Mpc]."),
    ("theta_s_100", "theta_s_100", "100 theta_s."), ("Neff", "N_eff", "Effective number of neutrinos."),
    ("Omega_m", "Omega_m", "Matter over critical."), ("Omega0_m", "Omega_m", "Matter over critical."),
    ("Omega_b", "Omega_b", "Baryons over critical."), ("omega_b", "omega_b", "Omega_b h^2."),
    ("Omega0_cdm", "Omega_cdm", "Cold dark matter over critical."),
    ("Omega_Lambda", "Omega_Lambda", "Lambda over critical."),
    ("Omega_g", "Omega_g", "Photons over critical."), ("Omega_nu", "Omega_nu", "Massive neutrinos over critical."),
    ("z_rec", "z_rec", "Redshift of the peak of visibility."), ("rs_rec", "rs_rec", "Sound horizon there [Mpc]."),
):  # fmt: skip
    setattr(Class, _name, _getter(_source, _meaning))
