"""Names, alternatives, defaults and limits of the cosmological parameters; how texts are read and values checked.

Values are NumPy arrays while they are concrete, so that a check raises at once and costs nothing, and JAX tracers
otherwise; one set of functions serves both.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax import constants, neutrinos
from boltzax.errors import (
    MissingDependencyError,
    ParameterFileError,
    ParameterRangeError,
    is_traced,
)


class Parameter(NamedTuple):
    """What is known of a parameter beside its value: unit, meaning, limits (None for an alternative's)."""

    unit: str
    meaning: str
    low: float = -math.inf
    high: float = math.inf
    low_included: bool = False


# The stored parameters, in the order in which they are printed.
STORED = {
    "h": Parameter("", "Hubble constant over 100 km/s/Mpc", 0.1, 3.0),
    "omega_b": Parameter("", "baryon density Omega_b h^2", 0.0, 1.0),
    "omega_cdm": Parameter("", "cold dark matter density Omega_cdm h^2", 0.0, 5.0, True),
    "Omega_k": Parameter("", "curvature of space over critical, -K/H0^2; without it space is flat", -0.15, 0.2),
    "N_ur": Parameter("", "effective number of massless neutrinos", 0.0, 50.0, True),
    "m_ncdm": Parameter("eV", "masses of the massive neutrino species, () for none", 0.0, 1.0e3, True),
    "T_ncdm": Parameter("T_cmb", "temperatures of the massive species (one, or one for each)", 0.0, 10.0),
    "deg_ncdm": Parameter("", "degeneracies of the massive species (one, or one for each)", 0.0, 1.0e3),
    "T_cmb": Parameter("K", "CMB temperature today", 0.0, 100.0),
    "YHe": Parameter("", "helium mass fraction, or BBN", 0.0, 1.0),
    "ln_A_s_1e10": Parameter("", "ln(10^10 A_s), scalar amplitude at k_pivot", -10.0, 15.0),
    "n_s": Parameter("", "scalar spectral index", -1.0, 3.0),
    "alpha_s": Parameter("", "running of the scalar index, d n_s / d ln k at k_pivot", -10.0, 10.0),
    "beta_s": Parameter("", "running of the running, d alpha_s / d ln k at k_pivot", -10.0, 10.0),
    "k_pivot": Parameter("1/Mpc", "pivot wavenumber of A_s, n_s, alpha_s, beta_s, r, n_t and alpha_t", 0.0, 1.0e3),
    "r": Parameter("", "tensor to scalar ratio P_T / P_R at k_pivot", 0.0, 1.0e3, True),
    "n_t": Parameter("", "tensor spectral index, or scc: -r/8 (2 - r/8 - n_s)", -10.0, 10.0),
    "alpha_t": Parameter("", "running of the tensor index, or scc: r/8 (r/8 + n_s - 1)", -10.0, 10.0),
    "A_lens": Parameter("", "factor of the lensing potential's C_l", 0.0, 1.0e3),
    "tau_reio": Parameter("", "optical depth to reionization", 0.0, 1.0),
    "z_reio": Parameter("", "redshift of hydrogen reionization, in place of tau_reio", 0.0, 50.0),
    "reionization_width": Parameter("", "width in redshift of hydrogen reionization", 0.0, 20.0),
    "reionization_exponent": Parameter("", "exponent of (1+z) in the tanh reionization", 0.0, 10.0),
    "helium_fullreio_redshift": Parameter("", "redshift of the second helium reionization", 0.0, 50.0),
    "helium_fullreio_width": Parameter("", "width in redshift of the second helium reionization", 0.0, 20.0),
    "w0_fld": Parameter("", "equation of state of dark energy today, w = w0_fld + wa_fld (1 - a)", -3.0, 1.0),
    "wa_fld": Parameter("", "slope of the equation of state of dark energy", -10.0, 3.0),
    "cs2_fld": Parameter("", "sound speed squared of dark energy in its rest frame", 0.0, 1.0e2),
    "use_ppf": Parameter("", "perturbations of dark energy: PPF (yes) or those of a fluid (no)"),
    "recombination": Parameter("", "recombination physics: hyrec or recfast"),
    "varying_alpha": Parameter("", "fine-structure constant before z = 50, over today's", 0.9, 1.1),
    "varying_me": Parameter("", "electron mass before z = 50, over today's", 0.8, 1.2),
    "DM_annihilation_efficiency": Parameter(
        "m^3/s/J", "sigma v / m of annihilating cold dark matter, times the share that is absorbed", 0.0, 1.0e-20, True
    ),
    "log10T_heat_hmcode": Parameter("", "log10 of the temperature [K] of baryonic feedback in HMcode", 7.0, 9.0),
}
_OTHERS = {
    "H0": Parameter("km/s/Mpc", "Hubble constant, in place of h"),
    "theta_s_100": Parameter("", "100 times the angle of the sound horizon at the visibility peak, in place of h"),
    "theta_star_100": Parameter("", "100 times the angle of the sound horizon at optical depth 1, in place of h"),
    "thetastar": Parameter("", "the angle at optical depth 1 without reionization, as in CAMB, in place of h"),
    "cosmomc_theta": Parameter("", "the angle by CosmoMC's fitting formula, as in CAMB, in place of h"),
    "Omega_b": Parameter("", "baryon density over critical, in place of omega_b"),
    "Omega_cdm": Parameter("", "cold dark matter density over critical, in place of omega_cdm"),
    "omega_m": Parameter("", "density of baryons, cdm and massive neutrinos times h^2, in place of omega_cdm"),
    "Omega_m": Parameter("", "density of baryons, cdm and massive neutrinos over critical, in place of omega_cdm"),
    "N_ncdm": Parameter("", "number of massive species, checked against m_ncdm"),
    "omega_ncdm": Parameter("", "densities of the massive species Omega_ncdm h^2, in place of m_ncdm"),
    "Omega_ncdm": Parameter("", "densities of the massive species over critical, in place of m_ncdm"),
    "N_eff": Parameter("", "effective number of relativistic neutrinos, massive ones included, in place of N_ur"),
    "A_s": Parameter("", "scalar amplitude at k_pivot, in place of ln_A_s_1e10"),
}
#: every accepted parameter, stored or alternative
PARAMETERS: dict[str, Parameter] = {**STORED, **_OTHERS}

SPELLINGS = {
    "ln10^{10}A_s": "ln_A_s_1e10",
    "100*theta_s": "theta_s_100",
    "A_L": "A_lens",
    "Alens": "A_lens",
    "HMCode_logT_AGN": "log10T_heat_hmcode",
}
#: angles of the sound horizon that may stand for h (see `boltzax.shooting`)
ANGLES = ("theta_s_100", "theta_star_100", "thetastar", "cosmomc_theta")
TENSORS = ("r", "n_t", "alpha_t")
#: what a given primordial spectrum takes the place of
POWER_LAW = ("ln_A_s_1e10", "A_s", "n_s", "alpha_s", "beta_s")
DARK_ENERGY = ("w0_fld", "wa_fld", "cs2_fld", "use_ppf")
#: constants of nature at recombination over today's: both are stored if one is given
VARYING = ("varying_alpha", "varying_me")
VECTORS = ("m_ncdm", "T_ncdm", "deg_ncdm")
#: what may stand for the masses
MASSES = ("m_ncdm", "omega_ncdm", "Omega_ncdm")
GROUPS = (
    ("h", "H0", *ANGLES),
    ("omega_b", "Omega_b"),
    ("omega_cdm", "Omega_cdm", "omega_m", "Omega_m"),
    MASSES,
    ("N_ur", "N_eff"),
    ("ln_A_s_1e10", "A_s"),
    ("tau_reio", "z_reio"),
)
NOT_IMPLEMENTED = (
    "sigma8 S8 Omega_Lambda Omega_fld Omega_scf "
    "ksi_ncdm Omega_ur omega_ur Omega_g omega_g Omega_dcdmdr omega_dcdmdr "
    "Omega_idm Omega_idr reio_parametrization varying_fundamental_constants DM_decay_fraction DM_decay_Gamma"
).split()
#: parameters of `boltzax.fluids`, by the species that takes them
OF_FLUIDS = {
    "Gamma_dcdm": "DecayingDarkMatter",
    "omega_ini_dcdm": "DecayingDarkMatter",
    "N_idr": "InteractingRadiation",
    "fde_zc": "EarlyDarkEnergy",
    "z_c": "EarlyDarkEnergy",
    "theta_i": "EarlyDarkEnergy",
}
DEFAULTS = {
    "h": 0.6736,
    "omega_b": 0.02237,
    "omega_cdm": 0.1200,
    "m_ncdm": (0.06,),
    "T_ncdm": 0.71611,
    "deg_ncdm": 1.0,
    "T_cmb": 2.7255,
    "ln_A_s_1e10": 3.044,
    "n_s": 0.9649,
    "alpha_s": 0.0,
    "beta_s": 0.0,
    "k_pivot": 0.05,
    "A_lens": 1.0,
    "tau_reio": 0.0544,
    "reionization_width": 0.5,
    "reionization_exponent": 1.5,
    "helium_fullreio_redshift": 3.5,
    "helium_fullreio_width": 0.5,
    "recombination": "hyrec",
}
N_EFF_MASSLESS = 3.044
N_UR_ONE_MASSIVE = 2.0328  # CLASS's value beside one species at T_ncdm = 0.71611: N_eff = 3.0460


# -- reading values ----------------------------------------------------------------------------------------------------


def read_yaml(path: str | os.PathLike) -> dict[str, Any]:
    """The mapping in a YAML file; raises `ParameterFileError` if it cannot be read or is no mapping."""
    try:
        import yaml
    except ImportError as error:
        raise MissingDependencyError.from_package("PyYAML", "cli", "reading a YAML file") from error
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.safe_load(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise ParameterFileError(f"cannot read parameter file '{os.fspath(path)}': {reason}") from error
    except yaml.YAMLError as error:
        raise ParameterFileError(
            f"parameter file '{os.fspath(path)}' is not YAML: {' '.join(str(error).split())}"
        ) from error
    if not isinstance(content, dict):
        raise ParameterFileError(f"parameter file '{os.fspath(path)}' must map parameter names to values")
    return content


def parse(name: str, value: Any) -> Any:
    if not isinstance(value, str) or name in ("YHe", "recombination", "use_ppf"):
        if name == "YHe" and isinstance(value, str) and value != "BBN":
            return _to_float(name, value)
        return value
    if name in ("n_t", "alpha_t") and value.lower() == "scc":
        return value
    if name in (*VECTORS, *MASSES) and ("," in value or not value.strip("()[] ")):
        return tuple(_to_float(name, part) for part in value.strip("()[] ").split(",") if part.strip())
    number = _to_float(name, value)
    return int(number) if name == "N_ncdm" and number.is_integer() else number


def _to_float(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        advice = " or 'BBN'" if name == "YHe" else ""
        raise ParameterRangeError(f"{name} must be a number{advice}, not '{text}'") from None


def to_array(name: str, value: Any) -> Any:
    """The value as a float64 NumPy array if concrete, as a float64 tracer if not."""
    if is_traced(value):
        if isinstance(value, (tuple, list)):
            return jnp.stack([jnp.asarray(v, dtype=jnp.float64) for v in value])
        return jnp.asarray(value, dtype=jnp.float64)
    try:
        array = np.asarray(value)
        if array.size and array.dtype.kind not in "iuf":
            raise TypeError
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise ParameterRangeError(f"{name} must be a number, not {value!r}") from None


def to_scalar(name: str, value: Any) -> Any:
    array = to_array(name, value)
    if array.shape != ():
        raise ParameterRangeError(
            f"{name} must be one number, not an array of shape {array.shape}; for many cosmologies use jax.vmap"
        )
    return array


def to_vector(name: str, value: Any) -> Any:
    array = to_array(name, value)
    if len(array.shape) > 1:
        raise ParameterRangeError(f"{name} must hold one number for each species, not shape {array.shape}")
    return array.reshape((1,)) if array.shape == () else array


def show(value: Any) -> str:
    if isinstance(value, str):
        return value
    if is_traced(value) or not hasattr(value, "shape") or not hasattr(value, "__array__"):
        return str(getattr(value, "aval", value))
    numbers = np.asarray(value)
    if numbers.ndim == 0:
        return f"{float(numbers):.10g}"
    return "(" + ", ".join(show(number) for number in numbers) + ("," if len(numbers) == 1 else "") + ")"


# -- densities ---------------------------------------------------------------------------------------------------------


def omega_radiation(N_ur: Any, T_cmb: Any) -> tuple[Any, Any]:
    """Omega h^2 of photons and of massless neutrinos."""
    photons = constants.OMEGA_GAMMA_PER_T4 * T_cmb**4
    return photons, constants.RELIC * N_ur * photons


def omega_ncdm(masses: Any, temperatures: Any, degeneracies: Any, T_cmb: Any) -> tuple[Any, Any]:
    """Omega h^2 of density and of three times the pressure today, for each species [n] (MB95 eq. 52)."""
    x = masses / (constants.EV_PER_KELVIN * temperatures * T_cmb[..., None])
    massless = neutrinos.massless_density(temperatures, degeneracies, T_cmb)
    return massless * neutrinos.density_ratio(x), massless * neutrinos.pressure_ratio(x)


def omega_lambda(values: Mapping[str, Any]) -> Any:
    """Omega h^2 of the cosmological constant, which closes the sum of all densities, curvature's too, to h^2."""
    massive, _ = omega_ncdm(*(values[name] for name in (*VECTORS, "T_cmb")))
    photons, massless = omega_radiation(values["N_ur"], values["T_cmb"])
    Omega_k = values.get("Omega_k")
    whole = values["h"] ** 2 * (1.0 if Omega_k is None else 1.0 - Omega_k)
    return whole - values["omega_b"] - values["omega_cdm"] - photons - massless - massive.sum(axis=-1)


def relativistic_number(temperature: Any, degeneracy: Any) -> Any:
    """What each massive species adds to N_eff while relativistic."""
    return degeneracy * (temperature * (11.0 / 4.0) ** (1.0 / 3.0)) ** 4


# -- checks ------------------------------------------------------------------------------------------------------------


def outside(value: Any, limits: Parameter) -> Any:
    """Whether any number is outside its limits, infinite or NaN."""
    above = (value >= limits.low) if limits.low_included else (value > limits.low)
    return ~(above & (value < limits.high))


def range_message(name: str, value: Any, source: str | None = None) -> str:
    low, high, included = STORED[name].low, STORED[name].high, STORED[name].low_included
    shown = "" if is_traced(value) else f" = {show(value)}"
    origin = f" (from {source})" if source and source != name else ""
    unit = f" {STORED[name].unit}" if STORED[name].unit else ""
    return (
        f"{name}{shown}{origin} must be finite, {'at least' if included else 'above'} {low:g} and below {high:g}{unit}"
    )


_EARLY = "w0_fld + wa_fld must be below 0, or dark energy would not vanish early on: lower wa_fld"
_CROSSING = "a fluid with one sound speed has no regular solution where w crosses -1: use_ppf = 'yes' has"


def dark_energy_errors(w0: Any, wa: Any, use_ppf: str) -> list[tuple[Any, str]]:
    """What may be wrong with w = w0 + wa (1 - a): whether it is, and what to say."""
    found = [(~(w0 + wa < 0.0), _EARLY)]
    if use_ppf == "no":
        found.append(((wa != 0.0) & ~((1.0 + w0) * (1.0 + w0 + wa) > 0.0), _CROSSING))
    return found


def closure_message(Omega_Lambda: Any) -> str:
    shown = "" if is_traced(Omega_Lambda) else f" of {show(Omega_Lambda)}"
    return f"the densities exceed the critical one: Omega_Lambda{shown} would be negative; lower them or raise h"
