"""boltzax as a theory of cobaya (Torrado & Lewis 2021, arXiv:2005.05290), in place of camb or classy.

In a YAML file::

    theory:
      boltzax.inference.cobaya.Boltzax:
        extra_args: {m_ncdm: 0.06}

Parameters go by the names of CLASS or of CAMB.
"""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

import boltzax
from boltzax.background.curvature import areal_radius
from boltzax.compat_settings import nonlinear_method
from boltzax.cosmology import PARAMETERS, Cosmology
from boltzax.errors import BoltzaxError, MissingDependencyError, NotImplementedParameterError, OutOfRangeError
from boltzax.inference.names import RENAMES
from boltzax.inference.observables import NONLINEAR
from boltzax.precision import Outputs, Precision
from boltzax.results import Derived, Results
from boltzax.spectra.matter import linear_power, sigma_R

try:
    from cobaya.log import LoggedError
    from cobaya.theories.cosmo import BoltzmannBase
except ImportError as error:
    raise MissingDependencyError.from_package("cobaya", "inference", "boltzax.inference.cobaya") from error

__all__ = ["Boltzax"]

_DERIVED = (*Derived.__dataclass_fields__, "h", "omega_m")
_KM_S = {"km/s/Mpc": 299792.458, "1/Mpc": 1.0}
_FIRAS = 2.7255  # K
_PAIRS = {("delta_tot", "delta_tot"): "m", ("delta_nonu", "delta_nonu"): "cb"}
_Z_PRODUCTS = (
    "Hubble", "Omega_b", "Omega_cdm", "Omega_nu_massive", "angular_diameter_distance", "comoving_radial_distance",
    "angular_diameter_distance_2", "sigma8_z", "fsigma8",
)  # fmt: skip


class Boltzax(BoltzmannBase):
    """Theory class. Options: extra_args (fixed parameters), precision ("default", "fast", "reference", or a mapping of
    the fields of `boltzax.Precision`), k_max [1/Mpc], l_max (at least what likelihoods ask for), stop_at_error.

    mnu and m_ncdm are the mass of one massive neutrino [eV]; several masses go into extra_args as "0.01,0.05".
    Nonlinear corrections are those of HMcode-2020, or what CLASS's `non_linear` and `hmcode_version` among extra_args
    name; with "none" lensing is linear. Asked for what it cannot compute (source counts), it refuses before sampling.
    """

    extra_args: dict = {}  # noqa: RUF012
    renames: Mapping[str, str] = RENAMES
    precision: Any = "default"
    k_max: float = 8.0
    l_max: int = 2
    stop_at_error: bool = False
    speed: float = 2.0

    def initialize(self):
        super().initialize()
        self._products: dict[Any, Any] = {}
        self._precision = _precision(self.precision)
        fixed = {self.translate_param(name): value for name, value in self.extra_args.items()}
        self._nonlinear = _nonlinear(fixed)
        self._fixed = fixed
        Cosmology.from_dict(fixed)  # refuses unknown names and values now

    def initialize_with_params(self):
        super().initialize_with_params()
        unknown = [name for name in self.input_params if self.translate_param(name) not in PARAMETERS]
        if unknown:
            raise LoggedError(self.log, f"unknown parameter '{unknown[0]}' (boltzax knows: {', '.join(PARAMETERS)})")

    # -- what is asked for -------------------------------------------------------------------------------------------

    def must_provide(self, **requirements):
        super().must_provide(**requirements)
        for name, value in self._must_provide.items():
            if isinstance(name, tuple) and name[0] == "Pk_grid":
                if self._pair(name[2:]) != "m" and name[1]:
                    raise LoggedError(self.log, "nonlinear P(k) is that of all matter: ask for delta_tot, delta_tot")
                if name[1] and self._nonlinear is None:
                    raise LoggedError(self.log, "nonlinear P(k) is asked for, but extra_args say 'non_linear: none'")
            elif isinstance(name, tuple) and name[0] == "sigma_R":
                self._pair(name[1:])
            elif name in ("Cl", "lensed_scal_Cl", "unlensed_Cl"):
                self.l_max = max(self.l_max, *value.values())
            elif name not in _Z_PRODUCTS and value is None:
                if self.translate_param(name) not in (*_DERIVED, *PARAMETERS):
                    raise LoggedError(self.log, f"derived parameter '{name}' is not known to boltzax")
            elif name not in _Z_PRODUCTS:
                raise LoggedError(self.log, f"boltzax does not compute '{name}'")
        self.k_max = max([self.k_max, *(v["k_max"] for v in self._must_provide.values() if v and "k_max" in v)])

    def _pair(self, pair) -> str:
        if tuple(pair) not in _PAIRS:
            raise LoggedError(self.log, f"spectra of {pair[0]}, {pair[1]} are not implemented (known: {list(_PAIRS)})")
        return _PAIRS[tuple(pair)]

    def get_can_provide_params(self):
        names = list(_DERIVED)
        return names + [name for name, known in self.renames.items() if known in names]

    def get_can_support_params(self):
        return [*PARAMETERS, *(name for name, known in self.renames.items() if known in PARAMETERS)]

    def get_version(self):
        return boltzax.__version__

    # -- the work ----------------------------------------------------------------------------------------------------

    def calculate(self, state, want_derived=True, **values):
        parameters = self._fixed | {self.translate_param(name): value for name, value in values.items()}
        try:
            cosmo = Cosmology.from_dict(parameters)
            outputs = Outputs(l_max=self.l_max, k_max=self.k_max, nonlinear=self._nonlinear)
            results = boltzax.solve(cosmo, outputs, self._precision)
        except NotImplementedParameterError as error:  # at every point, then
            raise LoggedError(self.log, str(error)) from error
        except BoltzaxError as error:
            if self.stop_at_error:
                raise LoggedError(self.log, f"{type(error).__name__}: {error}") from error
            self.log.debug("no solution, likelihood 0: %s", error)
            return False
        self._matter(state, results)
        state["background"] = results.background
        for name, spectra in (("Cl", results.lensed_cl), ("unlensed_Cl", results.unlensed_cl)):
            if name in self._must_provide or (name == "Cl" and "lensed_scal_Cl" in self._must_provide):
                state[name] = jax.tree.map(np.asarray, spectra)
        known = _derived(results)
        state["derived_extra"] = known
        if want_derived:
            state["derived"] = {name: known[self.translate_param(name)] for name in self.output_params}
        return True

    def _matter(self, state, results: Results):
        """P(k, z), sigma(R, z) and their like, as far as they are asked for."""
        for name, value in self._must_provide.items():
            if isinstance(name, tuple) and name[0] == "Pk_grid":
                last = max(0.5, float(np.max(value["z"])))
                z = np.union1d(value["z"], np.linspace(0.0, last, 5 + int(4.0 * last)))  # dense enough for splines
                low = float(results.matter.k_modes[0]) * (1.0 + 1e-9)
                k = np.geomspace(low, value["k_max"], 400)
                state[name] = k, z, np.asarray(self._power(results, k, z, _PAIRS[name[2:]], nonlinear=name[1]))
            elif isinstance(name, tuple) and name[0] == "sigma_R":
                species = _PAIRS[name[1:]]
                table = [[_sigma(results, R, z, species) for R in value["R"]] for z in value["z"]]
                state[name] = np.asarray(value["z"]), np.asarray(value["R"]), np.asarray(table)
            elif name in ("sigma8_z", "fsigma8"):
                R = 8.0 / float(results.cosmology.h)
                sigma8 = lambda ln_a, R=R: _sigma(results, R, jax.numpy.expm1(-ln_a), "m")
                f = sigma8 if name == "sigma8_z" else jax.grad(sigma8)  # f sigma8 = d sigma8 / d ln a
                state[name] = {float(z): float(f(-np.log1p(float(z)))) for z in value["z"]}

    def _power(self, results: Results, k, z, species: str, nonlinear: bool):
        if not nonlinear:
            return results.pk_lin(k, z, species)
        try:
            return results.pk(k, z)
        except OutOfRangeError as error:  # of what was asked for, not of the point
            raise LoggedError(self.log, str(error)) from error

    # -- what likelihoods read ---------------------------------------------------------------------------------------

    def _spectra(self, name, ell_factor, units, parts):
        if name not in self.current_state:
            raise LoggedError(self.log, f"{name} was not asked for")
        spectra = self.current_state[name]
        unit = self._cmb_unit_factor(units, float(spectra.T_cmb))
        ell = spectra.ell.astype(int)
        l2 = ell * (ell + 1.0)
        out = {"ell": ell}
        for part in parts:
            lenses = part.count("p")
            factor = l2 ** (1.0 + 0.5 * lenses) / (2.0 * np.pi) if ell_factor else 1.0
            out[part] = factor * unit ** (2 - lenses) * getattr(spectra, part)
        return out

    def get_Cl(self, ell_factor=False, units="FIRASmuK2"):
        return self._spectra("Cl", ell_factor, units, ("tt", "te", "ee", "bb", "pp", "tp", "ep"))

    def get_lensed_scal_Cl(self, ell_factor=False, units="FIRASmuK2"):
        return self.get_Cl(ell_factor, units)

    def get_unlensed_Cl(self, ell_factor=False, units="FIRASmuK2"):
        return self._spectra("unlensed_Cl", ell_factor, units, ("tt", "te", "ee", "bb"))

    def get_Hubble(self, z, units="km/s/Mpc"):
        if units not in _KM_S:
            raise LoggedError(self.log, f"units '{units}' of H are not known: choose one of {list(_KM_S)}")
        return self._background("hubble", -np.log1p(_array(z))) * _KM_S[units]

    def get_comoving_radial_distance(self, z):
        return self._background("comoving_distance", _array(z))

    def get_angular_diameter_distance(self, z):
        return self._background("angular_diameter_distance", _array(z))

    def get_angular_diameter_distance_2(self, z_pairs):
        z1, z2 = np.atleast_2d(np.asarray(z_pairs, dtype=float)).T
        chi1, chi2 = (self.get_comoving_radial_distance(z) for z in (z1, z2))
        K = self.current_state["background"].K
        return np.where(z1 > z2, 0.0, areal_radius(K, chi2 - chi1) / (1.0 + z2))

    def get_Omega_b(self, z):
        return self._fraction(lambda bg, a: bg.rho_b / a**3, z)

    def get_Omega_cdm(self, z):
        return self._fraction(lambda bg, a: bg.rho_cdm / a**3, z)

    def get_Omega_nu_massive(self, z):
        return self._fraction(lambda bg, a: bg.rho_ncdm(a)[0].sum(-1), z)

    def get_sigma8_z(self, z):
        return np.array([self.current_state["sigma8_z"][float(v)] for v in _array(z)])

    def get_fsigma8(self, z):
        return np.array([self.current_state["fsigma8"][float(v)] for v in _array(z)])

    def _background(self, name, argument):
        return np.asarray(getattr(self.current_state["background"], name)(argument))

    def _fraction(self, density, z):
        bg, a = self.current_state["background"], 1.0 / (1.0 + _array(z))
        return np.asarray(density(bg, a) / bg.hubble(np.log(a)) ** 2)


def _array(z) -> np.ndarray:
    return np.atleast_1d(np.asarray(z, dtype=float))


def _precision(choice) -> Precision:
    if isinstance(choice, Mapping):
        return Precision(**choice)
    presets = {"default": Precision, "fast": Precision.fast, "reference": Precision.reference}
    if choice not in presets:
        raise BoltzaxError(f"unknown precision '{choice}': choose one of {', '.join(presets)}, or give its fields")
    return presets[choice]()


def _nonlinear(settings: dict[str, Any]) -> str | None:
    """Takes CLASS's names of a method out of the settings; HMcode-2020 without them, as `NONLINEAR` has it."""
    given = [settings.pop(name) for name in ("non_linear", "non linear") if name in settings]
    versions = {name: settings.pop(name) for name in ("hmcode_version",) if name in settings}
    if not given and not versions:
        return NONLINEAR
    method = given[0] if given else True
    if method in (None, False):
        return None
    return nonlinear_method({"non_linear": "hmcode" if method is True else method} | versions)


def _sigma(results: Results, R, z, species: str):
    """RMS contrast in spheres of R Mpc at redshift z."""

    x = results.background.conformal_time(-jax.numpy.log1p(z)) / results.background.tau_0
    return sigma_R(lambda k: linear_power(results.cosmology, results.matter, k, x, species), 1.0, R)


def _derived(results: Results) -> dict[str, float]:
    """Every derived parameter and every input by boltzax's names, as numbers."""
    cosmo, derived = results.cosmology, results.derived
    known = [name for name in PARAMETERS if name not in Derived.__dataclass_fields__]
    out = {name: getattr(cosmo, name) for name in known if hasattr(cosmo, name)}
    out = {name: v for name, v in out.items() if v is not None and not isinstance(v, str) and np.ndim(v) == 0}
    out |= {name: getattr(derived, name) for name in Derived.__dataclass_fields__}
    if cosmo.m_ncdm.shape[0] == 1:
        out["m_ncdm"] = cosmo.m_ncdm[0]
    return {name: float(value) for name, value in out.items()}
