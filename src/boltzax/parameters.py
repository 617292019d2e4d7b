"""Names, alternatives, defaults and limits of the cosmological parameters, and how arguments become stored values.

Values are NumPy arrays while they are concrete, so that a check raises at once and costs nothing, and JAX tracers
otherwise; one set of functions serves both.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from boltzax import constants
from boltzax.errors import (
    ConflictingParametersError,
    MissingDependencyError,
    MissingParameterError,
    NotImplementedParameterError,
    ParameterFileError,
    ParameterRangeError,
    UnknownParameterError,
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
    "N_ur": Parameter("", "effective number of massless neutrinos", 0.0, 50.0, True),
    "m_ncdm": Parameter("eV", "masses of the massive neutrino species, () for none", 0.0, 1.0e3, True),
    "T_ncdm": Parameter("T_cmb", "temperatures of the massive species (one, or one for each)", 0.0, 10.0),
    "deg_ncdm": Parameter("", "degeneracies of the massive species (one, or one for each)", 0.0, 1.0e3),
    "T_cmb": Parameter("K", "CMB temperature today", 0.0, 100.0),
    "YHe": Parameter("", "helium mass fraction, or BBN", 0.0, 1.0),
    "ln_A_s_1e10": Parameter("", "ln(10^10 A_s), scalar amplitude at k_pivot", -10.0, 15.0),
    "n_s": Parameter("", "scalar spectral index", -1.0, 3.0),
    "k_pivot": Parameter("1/Mpc", "pivot wavenumber of A_s and n_s", 0.0, 1.0e3),
    "tau_reio": Parameter("", "optical depth to reionization", 0.0, 1.0),
    "z_reio": Parameter("", "redshift of hydrogen reionization, in place of tau_reio", 0.0, 50.0),
    "reionization_width": Parameter("", "width in redshift of hydrogen reionization", 0.0, 20.0),
    "reionization_exponent": Parameter("", "exponent of (1+z) in the tanh reionization", 0.0, 10.0),
    "helium_fullreio_redshift": Parameter("", "redshift of the second helium reionization", 0.0, 50.0),
    "helium_fullreio_width": Parameter("", "width in redshift of the second helium reionization", 0.0, 20.0),
    "recombination": Parameter("", "recombination physics: hyrec or recfast"),
    "log10T_heat_hmcode": Parameter("", "log10 of the temperature [K] of baryonic feedback in HMcode", 7.0, 9.0),
}
_OTHERS = {
    "H0": Parameter("km/s/Mpc", "Hubble constant, in place of h"),
    "Omega_b": Parameter("", "baryon density over critical, in place of omega_b"),
    "Omega_cdm": Parameter("", "cold dark matter density over critical, in place of omega_cdm"),
    "omega_m": Parameter("", "density of baryons, cdm and massive neutrinos times h^2, in place of omega_cdm"),
    "Omega_m": Parameter("", "density of baryons, cdm and massive neutrinos over critical, in place of omega_cdm"),
    "N_ncdm": Parameter("", "number of massive species, checked against m_ncdm"),
    "N_eff": Parameter("", "effective number of relativistic neutrinos, massive ones included, in place of N_ur"),
    "A_s": Parameter("", "scalar amplitude at k_pivot, in place of ln_A_s_1e10"),
}
#: every accepted parameter, stored or alternative
PARAMETERS: dict[str, Parameter] = {**STORED, **_OTHERS}

_SPELLINGS = {"ln10^{10}A_s": "ln_A_s_1e10", "HMCode_logT_AGN": "log10T_heat_hmcode"}
VECTORS = ("m_ncdm", "T_ncdm", "deg_ncdm")
GROUPS = (
    ("h", "H0"),
    ("omega_b", "Omega_b"),
    ("omega_cdm", "Omega_cdm", "omega_m", "Omega_m"),
    ("N_ur", "N_eff"),
    ("ln_A_s_1e10", "A_s"),
    ("tau_reio", "z_reio"),
)
_NOT_IMPLEMENTED = (
    "100*theta_s theta_s_100 theta_star_100 sigma8 S8 Omega_k Omega_Lambda Omega_fld Omega_scf w0_fld wa_fld cs2_fld "
    "omega_ncdm Omega_ncdm ksi_ncdm Omega_ur omega_ur Omega_g omega_g alpha_s r n_t alpha_t Omega_dcdmdr Gamma_dcdm "
    "Omega_idm Omega_idr reio_parametrization varying_fundamental_constants DM_annihilation_efficiency"
).split()
_DEFAULTS = {
    "h": 0.6736,
    "omega_b": 0.02237,
    "omega_cdm": 0.1200,
    "m_ncdm": (0.06,),
    "T_ncdm": 0.71611,
    "deg_ncdm": 1.0,
    "T_cmb": 2.7255,
    "ln_A_s_1e10": 3.044,
    "n_s": 0.9649,
    "k_pivot": 0.05,
    "tau_reio": 0.0544,
    "reionization_width": 0.5,
    "reionization_exponent": 1.5,
    "helium_fullreio_redshift": 3.5,
    "helium_fullreio_width": 0.5,
    "recombination": "hyrec",
}
_N_EFF_MASSLESS = 3.044
_N_UR_ONE_MASSIVE = 2.0328  # CLASS's value beside one species at T_ncdm = 0.71611: N_eff = 3.0460

_Q, _Q_WEIGHTS = np.polynomial.laguerre.laggauss(64)
_FERMI_DIRAC = _Q_WEIGHTS * _Q**2 / (1.0 + np.exp(-_Q)) / (7.0 * math.pi**4 / 120.0)


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
    if not isinstance(value, str) or name in ("YHe", "recombination"):
        if name == "YHe" and isinstance(value, str) and value != "BBN":
            return _to_float(name, value)
        return value
    if name in VECTORS and ("," in value or not value.strip("()[] ")):
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


# -- from arguments to stored values -----------------------------------------------------------------------------------


def merge(arguments: dict[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters under one spelling; unknown, doubled and not implemented names raise."""
    merged = dict(arguments)
    for name, value in others.items():
        known = _SPELLINGS.get(name, name)
        if known in merged:
            raise ConflictingParametersError(f"'{name}' and '{known}' are the same parameter: give one of them")
        if known in _NOT_IMPLEMENTED:
            raise NotImplementedParameterError(
                f"parameter '{name}' is not available: boltzax solves flat LCDM with massless and massive neutrinos"
            )
        if known not in PARAMETERS:
            raise UnknownParameterError.from_name(name, PARAMETERS)
        merged[known] = value
    for group in GROUPS:
        given = [name for name in group if merged.get(name) is not None]
        if len(given) > 1:
            raise ConflictingParametersError(f"give only one of {' and '.join(given)}: they fix the same quantity")
    return merged


def resolve(given: dict[str, Any]) -> dict[str, Any]:
    """The stored values [NumPy arrays or tracers, None, text] from the parameters given, all checked."""
    source = {}
    for group in GROUPS:
        source[group[0]] = next((name for name in group if name in given), group[0])
    values: dict[str, Any] = dict.fromkeys(STORED)
    for name in STORED:
        if name in ("m_ncdm", "T_ncdm", "deg_ncdm", "YHe", "recombination", "N_ur"):
            continue
        if name in given:
            values[name] = to_scalar(name, given[name])
        elif name in _DEFAULTS and source.get(name, name) == name:
            values[name] = to_scalar(name, _DEFAULTS[name])
    values["recombination"] = _recombination(given)
    values["YHe"] = _helium(given)
    values.update(_species(given))
    values["N_ur"] = _massless_number(given, values)
    if "H0" in given:
        values["h"] = to_scalar("H0", given["H0"]) / 100.0
    if "A_s" in given:
        values["ln_A_s_1e10"] = _log_amplitude(given["A_s"])
    if "Omega_b" in given:
        values["omega_b"] = to_scalar("Omega_b", given["Omega_b"]) * values["h"] ** 2
    values["omega_cdm"] = _cold_dark_matter(given, values)
    _check(values, source)
    return values


def _recombination(given: dict[str, Any]) -> str:
    choice = given.get("recombination", _DEFAULTS["recombination"])
    if str(choice).lower() not in ("hyrec", "recfast"):
        raise ParameterRangeError(f"recombination must be 'hyrec' or 'recfast', not {choice!r}")
    return str(choice).lower()


def _helium(given: dict[str, Any]) -> Any:
    choice = given.get("YHe", "BBN")
    if isinstance(choice, str):
        if choice.upper() != "BBN":
            raise ParameterRangeError(f"YHe must be a number or 'BBN', not '{choice}'")
        return None
    return to_scalar("YHe", choice)


def _species(given: dict[str, Any]) -> dict[str, Any]:
    """Masses, temperatures and degeneracies, each of the same length."""
    masses = to_vector("m_ncdm", given.get("m_ncdm", _DEFAULTS["m_ncdm"]))
    number = given.get("N_ncdm")
    if number is not None and "m_ncdm" not in given and number == 0:
        masses = np.zeros(0)
    n = masses.shape[0]
    if number is not None and number != n:
        if "m_ncdm" not in given:
            raise MissingParameterError(f"N_ncdm = {number} needs m_ncdm with {number} masses [eV]")
        raise ConflictingParametersError(f"N_ncdm = {number}, but m_ncdm holds {n} masses")
    out = {"m_ncdm": masses}
    for name in ("T_ncdm", "deg_ncdm"):
        value = to_array(name, given.get(name, _DEFAULTS[name]))
        if value.shape not in ((), (n,)):
            raise ConflictingParametersError(
                f"{name} holds {value.shape[0]} values for {n} massive species (m_ncdm): give one, or one for each"
            )
        out[name] = value * np.ones(n)
    return out


def relativistic_number(temperature: Any, degeneracy: Any) -> Any:
    """What each massive species adds to N_eff while relativistic."""
    return degeneracy * (temperature * (11.0 / 4.0) ** (1.0 / 3.0)) ** 4


def _massless_number(given: dict[str, Any], values: dict[str, Any]) -> Any:
    if "N_ur" in given:
        return to_scalar("N_ur", given["N_ur"])
    massive = relativistic_number(values["T_ncdm"], values["deg_ncdm"]).sum()
    if "N_eff" in given:
        number = to_scalar("N_eff", given["N_eff"]) - massive
        what = "N_eff is less than the massive species contribute"
    else:
        standard = _N_UR_ONE_MASSIVE + relativistic_number(_DEFAULTS["T_ncdm"], _DEFAULTS["deg_ncdm"])
        number = (standard if values["m_ncdm"].shape[0] else _N_EFF_MASSLESS) - massive
        what = "the massive species exceed the standard N_eff"
    if not is_traced(number) and number < 0.0:
        raise MissingParameterError(f"{what} (N_ur would be {float(number):.4g}): give N_ur")
    return number


def _log_amplitude(value: Any) -> Any:
    amplitude = to_scalar("A_s", value)
    if is_traced(amplitude):
        return jnp.log(1.0e10 * amplitude)
    if not (np.isfinite(amplitude) and amplitude > 0.0):
        raise ParameterRangeError(f"A_s = {float(amplitude)} must be positive and finite")
    return np.log(1.0e10 * amplitude)


def _cold_dark_matter(given: dict[str, Any], values: dict[str, Any]) -> Any:
    if "Omega_cdm" in given:
        return to_scalar("Omega_cdm", given["Omega_cdm"]) * values["h"] ** 2
    for name in ("Omega_m", "omega_m"):
        if name in given:
            total = to_scalar(name, given[name]) * (values["h"] ** 2 if name == "Omega_m" else 1.0)
            rho, three_p = omega_ncdm(values["m_ncdm"], values["T_ncdm"], values["deg_ncdm"], values["T_cmb"])
            return total - values["omega_b"] - (rho - three_p).sum()
    return values["omega_cdm"]


# -- densities ---------------------------------------------------------------------------------------------------------


def omega_radiation(N_ur: Any, T_cmb: Any) -> tuple[Any, Any]:
    """Omega h^2 of photons and of massless neutrinos."""
    photons = constants.OMEGA_GAMMA_PER_T4 * T_cmb**4
    return photons, 7.0 / 8.0 * (4.0 / 11.0) ** (4.0 / 3.0) * N_ur * photons


def omega_ncdm(masses: Any, temperatures: Any, degeneracies: Any, T_cmb: Any) -> tuple[Any, Any]:
    """Omega h^2 of density and of three times the pressure today, for each species [n] (MB95 eq. 52)."""
    x = masses / (constants.EV_PER_KELVIN * temperatures * T_cmb[..., None])
    energy = (_Q**2 + x[..., None] ** 2) ** 0.5
    massless = 7.0 / 8.0 * constants.OMEGA_GAMMA_PER_T4 * T_cmb[..., None] ** 4 * temperatures**4 * degeneracies
    return massless * (energy @ _FERMI_DIRAC), massless * ((_Q**2 / energy) @ _FERMI_DIRAC)


def omega_lambda(values: Mapping[str, Any]) -> Any:
    """Omega h^2 of the cosmological constant, which closes the sum of all densities to h^2."""
    massive, _ = omega_ncdm(*(values[name] for name in (*VECTORS, "T_cmb")))
    photons, massless = omega_radiation(values["N_ur"], values["T_cmb"])
    return values["h"] ** 2 - values["omega_b"] - values["omega_cdm"] - photons - massless - massive.sum(axis=-1)


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


def closure_message(Omega_Lambda: Any) -> str:
    shown = "" if is_traced(Omega_Lambda) else f" of {show(Omega_Lambda)}"
    return f"the densities exceed the critical one: Omega_Lambda{shown} would be negative; lower them or raise h"


def _check(values: dict[str, Any], source: dict[str, str]) -> None:
    """Raise on every concrete value out of range, and if all are concrete on densities above critical."""
    for name, limits in STORED.items():
        value = values[name]
        if value is None or isinstance(value, str) or is_traced(value):
            continue
        if np.any(outside(value, limits)):
            raise ParameterRangeError(range_message(name, value, source.get(name)))
    used = {name: values[name] for name in ("h", "omega_b", "omega_cdm", "N_ur", "T_cmb", *VECTORS)}
    if is_traced(used):
        return
    Omega_Lambda = omega_lambda(used) / used["h"] ** 2
    if not Omega_Lambda >= 0.0:
        raise ParameterRangeError(closure_message(Omega_Lambda))
