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

from boltzax import constants, neutrinos
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
from boltzax.numerics.function import as_module


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
    "w0_fld": Parameter("", "equation of state of dark energy today, w = w0_fld + wa_fld (1 - a)", -3.0, 0.0),
    "wa_fld": Parameter("", "slope of the equation of state of dark energy", -10.0, 3.0),
    "cs2_fld": Parameter("", "sound speed squared of dark energy in its rest frame", 0.0, 1.0e2),
    "use_ppf": Parameter("", "perturbations of dark energy: PPF (yes) or those of a fluid (no)"),
    "recombination": Parameter("", "recombination physics: hyrec or recfast"),
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

_SPELLINGS = {
    "ln10^{10}A_s": "ln_A_s_1e10",
    "100*theta_s": "theta_s_100",
    "A_L": "A_lens",
    "Alens": "A_lens",
    "HMCode_logT_AGN": "log10T_heat_hmcode",
}
#: angles of the sound horizon that may stand for h (see `boltzax.shooting`)
ANGLES = ("theta_s_100", "theta_star_100", "thetastar", "cosmomc_theta")
_TENSORS = ("r", "n_t", "alpha_t")
#: what a given primordial spectrum takes the place of
POWER_LAW = ("ln_A_s_1e10", "A_s", "n_s", "alpha_s", "beta_s")
_DARK_ENERGY = ("w0_fld", "wa_fld", "cs2_fld", "use_ppf")
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
_NOT_IMPLEMENTED = (
    "sigma8 S8 Omega_k Omega_Lambda Omega_fld Omega_scf "
    "ksi_ncdm Omega_ur omega_ur Omega_g omega_g Omega_dcdmdr Gamma_dcdm "
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
_N_EFF_MASSLESS = 3.044
_N_UR_ONE_MASSIVE = 2.0328  # CLASS's value beside one species at T_ncdm = 0.71611: N_eff = 3.0460


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


def resolve(given: dict[str, Any], closed: bool = True) -> dict[str, Any]:
    """The stored values [NumPy arrays or tracers, None, text] from the parameters given, all checked.

    closed: whether the densities may not exceed the critical one.
    """
    source = {}
    for group in GROUPS:
        source[group[0]] = next((name for name in group if name in given), group[0])
    values: dict[str, Any] = dict.fromkeys(STORED)
    for name in STORED:
        if name in ("m_ncdm", "T_ncdm", "deg_ncdm", "YHe", "recombination", "N_ur", *_DARK_ENERGY, *_TENSORS):
            continue
        if name in given:
            values[name] = to_scalar(name, given[name])
        elif name in _DEFAULTS and source.get(name, name) == name:
            values[name] = to_scalar(name, _DEFAULTS[name])
    values["recombination"] = _recombination(given)
    values["YHe"] = _helium(given)
    values.update(_dark_energy(given))
    values.update(_tensors(given))
    if "H0" in given:
        values["h"] = to_scalar("H0", given["H0"]) / 100.0
    values.update(_species(given, values))
    values["N_ur"] = _massless_number(given, values)
    if "A_s" in given:
        values["ln_A_s_1e10"] = _log_amplitude(given["A_s"])
    if "Omega_b" in given:
        values["omega_b"] = to_scalar("Omega_b", given["Omega_b"]) * values["h"] ** 2
    values["omega_cdm"] = _cold_dark_matter(given, values)
    _check(values, source, closed)
    return values


def _recombination(given: dict[str, Any]) -> str:
    choice = given.get("recombination", _DEFAULTS["recombination"])
    if str(choice).lower() not in ("hyrec", "recfast"):
        raise ParameterRangeError(f"recombination must be 'hyrec' or 'recfast', not {choice!r}")
    return str(choice).lower()


def _dark_energy(given: dict[str, Any]) -> dict[str, Any]:
    """Parameters of dark energy, all None if it is a cosmological constant."""
    names = [name for name in _DARK_ENERGY if name in given]
    w = given.get("w_fld")
    if not names and w is None:
        return {}
    if w is not None and {"w0_fld", "wa_fld"} & set(names):
        raise ConflictingParametersError("give w_fld, a function of the scale factor, or w0_fld and wa_fld, not both")
    values: dict[str, Any] = {"use_ppf": _yes(given.get("use_ppf", "yes"))}
    for name, default in (("w0_fld", -1.0), ("wa_fld", 0.0), ("cs2_fld", 1.0)):
        if w is None or name == "cs2_fld":
            values[name] = to_scalar(name, given.get(name, default))
    return values


def _tensors(given: dict[str, Any]) -> dict[str, Any]:
    """r, n_t and alpha_t; the latter None where the consistency relation of single-field inflation gives them."""
    values = {}
    for name in _TENSORS:
        choice = given.get(name)
        if name != "r" and isinstance(choice, str):
            if choice.lower() != "scc":
                raise ParameterRangeError(f"{name} must be a number or 'scc', not '{choice}'")
        elif choice is not None:
            if "r" not in given:
                raise MissingParameterError(
                    f"{name} needs r, the tensor to scalar ratio: without it there are no tensors"
                )
            values[name] = to_scalar(name, choice)
    return values


def primordial_spectrum(spectrum: Any, given: Mapping[str, Any]) -> Any:
    """The spectrum as a pytree of arrays that can be called; None if it is the power law of `given`."""
    if spectrum is None:
        return None
    if not callable(spectrum):
        raise ParameterRangeError(f"primordial_spectrum must be a function of k [1/Mpc], not {spectrum!r}")
    doubled = [name for name in POWER_LAW if name in given]
    if doubled:
        raise ConflictingParametersError(f"give primordial_spectrum or {', '.join(doubled)}, not both")
    return as_module(spectrum)


def _yes(choice: Any) -> str:
    if str(choice).lower() in ("yes", "true", "no", "false"):
        return "yes" if str(choice).lower() in ("yes", "true") else "no"
    raise ParameterRangeError(f"use_ppf must be 'yes' or 'no', not {choice!r}")


def _helium(given: dict[str, Any]) -> Any:
    choice = given.get("YHe", "BBN")
    if isinstance(choice, str):
        if choice.upper() != "BBN":
            raise ParameterRangeError(f"YHe must be a number or 'BBN', not '{choice}'")
        return None
    return to_scalar("YHe", choice)


def _species(given: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Masses, temperatures and degeneracies, each of the same length."""
    source = next((name for name in MASSES if name in given), None)
    masses = to_vector(source or "m_ncdm", given.get(source, _DEFAULTS["m_ncdm"]))
    number = given.get("N_ncdm")
    if number is not None and source is None and number == 0:
        masses = np.zeros(0)
    n = masses.shape[0]
    if number is not None and number != n:
        if source is None:
            raise MissingParameterError(f"N_ncdm = {number} needs m_ncdm with {number} masses [eV]")
        raise ConflictingParametersError(f"N_ncdm = {number}, but {source} holds {n} values")
    out = {"m_ncdm": masses}
    for name in ("T_ncdm", "deg_ncdm"):
        value = to_array(name, given.get(name, _DEFAULTS[name]))
        if value.shape not in ((), (n,)):
            raise ConflictingParametersError(
                f"{name} holds {value.shape[0]} values for {n} massive species (m_ncdm): give one, or one for each"
            )
        out[name] = value * np.ones(n)
    if source in MASSES[1:]:
        omega = masses * (values["h"] ** 2 if source == "Omega_ncdm" else 1.0)
        out["m_ncdm"] = neutrinos.masses_of_density(omega, out["T_ncdm"], out["deg_ncdm"], values["T_cmb"])
        if not is_traced(out["m_ncdm"]) and np.any(np.isnan(out["m_ncdm"])):
            least = neutrinos.massless_density(out["T_ncdm"], out["deg_ncdm"], values["T_cmb"])
            raise ParameterRangeError(
                f"{source} must be finite and give omega_ncdm of at least {show(least)}, which massless neutrinos have"
            )
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
    return photons, constants.RELIC * N_ur * photons


def omega_ncdm(masses: Any, temperatures: Any, degeneracies: Any, T_cmb: Any) -> tuple[Any, Any]:
    """Omega h^2 of density and of three times the pressure today, for each species [n] (MB95 eq. 52)."""
    x = masses / (constants.EV_PER_KELVIN * temperatures * T_cmb[..., None])
    massless = neutrinos.massless_density(temperatures, degeneracies, T_cmb)
    return massless * neutrinos.density_ratio(x), massless * neutrinos.pressure_ratio(x)


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


EARLY = "w0_fld + wa_fld must be below 0, or dark energy would not vanish early on: lower wa_fld"


def early_dark_energy(w0: Any, wa: Any) -> Any:
    """Whether dark energy does not fall behind matter in the past."""
    return ~(w0 + wa < 0.0)


def closure_message(Omega_Lambda: Any) -> str:
    shown = "" if is_traced(Omega_Lambda) else f" of {show(Omega_Lambda)}"
    return f"the densities exceed the critical one: Omega_Lambda{shown} would be negative; lower them or raise h"


def _check(values: dict[str, Any], source: dict[str, str], closed: bool) -> None:
    """Raise on every concrete value out of range, and if all are concrete and `closed` on densities above critical."""
    for name, limits in STORED.items():
        value = values[name]
        if value is None or isinstance(value, str) or is_traced(value):
            continue
        if np.any(outside(value, limits)):
            raise ParameterRangeError(range_message(name, value, source.get(name)))
    if values["w0_fld"] is not None and not is_traced((values["w0_fld"], values["wa_fld"])):
        if early_dark_energy(values["w0_fld"], values["wa_fld"]):
            raise ParameterRangeError(EARLY)
    used = {name: values[name] for name in ("h", "omega_b", "omega_cdm", "N_ur", "T_cmb", *VECTORS)}
    if is_traced(used) or not closed:
        return
    Omega_Lambda = omega_lambda(used) / used["h"] ** 2
    if not Omega_Lambda >= 0.0:
        raise ParameterRangeError(closure_message(Omega_Lambda))
