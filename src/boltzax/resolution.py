"""How the arguments of a cosmology become its stored values: alternatives, defaults, consistency.

Values are NumPy arrays while they are concrete, JAX tracers otherwise, as in `boltzax.parameters`.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from boltzax import neutrinos
from boltzax.errors import (
    ConflictingParametersError,
    MissingParameterError,
    NotImplementedParameterError,
    ParameterRangeError,
    UnknownParameterError,
    is_traced,
)
from boltzax.numerics.function import as_module
from boltzax.parameters import (
    DARK_ENERGY,
    DEFAULTS,
    GROUPS,
    MASSES,
    N_EFF_MASSLESS,
    N_UR_ONE_MASSIVE,
    NOT_IMPLEMENTED,
    OF_FLUIDS,
    PARAMETERS,
    POWER_LAW,
    SPELLINGS,
    STORED,
    TENSORS,
    VARYING,
    VECTORS,
    closure_message,
    dark_energy_errors,
    omega_lambda,
    omega_ncdm,
    outside,
    range_message,
    relativistic_number,
    show,
    to_array,
    to_scalar,
    to_vector,
)


def merge(arguments: dict[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters under one spelling; unknown, doubled and not implemented names raise."""
    merged = dict(arguments)
    for name, value in others.items():
        known = SPELLINGS.get(name, name)
        if known in merged:
            raise ConflictingParametersError(f"'{name}' and '{known}' are the same parameter: give one of them")
        if known in OF_FLUIDS:
            kind = f"boltzax.fluids.{OF_FLUIDS[known]}"
            raise NotImplementedParameterError(f"'{name}' belongs to a species: give fluids=({kind}(...),)")
        if known in NOT_IMPLEMENTED:
            raise NotImplementedParameterError(
                f"parameter '{name}' is not available: docs/parameters.md lists what is, docs/features.md the physics"
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
        if name in ("m_ncdm", "T_ncdm", "deg_ncdm", "YHe", "recombination", "N_ur", *DARK_ENERGY, *TENSORS):
            continue
        if name in given:
            values[name] = to_scalar(name, given[name])
        elif name in DEFAULTS and source.get(name, name) == name:
            values[name] = to_scalar(name, DEFAULTS[name])
    values["recombination"] = _recombination(given)
    values["YHe"] = _helium(given)
    values.update(_dark_energy(given))
    values.update(_tensors(given))
    if any(name in given for name in VARYING):
        values.update((name, to_scalar(name, given.get(name, 1.0))) for name in VARYING)
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


def check_combinations(cosmo: Any) -> None:
    """Raise NotImplementedParameterError, by name, on what cannot be combined with Omega_k or with a fluid."""
    for fluid in cosmo.fluids:
        if fluid.alone and (len(cosmo.fluids) > 1 or cosmo.cs2_fld is not None):
            raise NotImplementedParameterError(
                f"{type(fluid).__name__} cannot be combined with another fluid, nor with w0_fld, w_fld or cs2_fld: "
                "give one of them"
            )
    if cosmo.Omega_k is None:
        return
    others = {"r": cosmo.r is not None, "isocurvature": cosmo.isocurvature, "fluids": cosmo.fluids}
    others["w0_fld, w_fld or cs2_fld"] = cosmo.cs2_fld is not None
    for name, given in others.items():
        if given:
            raise NotImplementedParameterError(f"Omega_k and {name} cannot be combined: give one of them")


def _recombination(given: dict[str, Any]) -> str:
    choice = given.get("recombination", DEFAULTS["recombination"])
    if str(choice).lower() not in ("hyrec", "recfast"):
        raise ParameterRangeError(f"recombination must be 'hyrec' or 'recfast', not {choice!r}")
    return str(choice).lower()


def _dark_energy(given: dict[str, Any]) -> dict[str, Any]:
    """Parameters of dark energy, all None if it is a cosmological constant."""
    names = [name for name in DARK_ENERGY if name in given]
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
    for name in TENSORS:
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
    masses = to_vector(source or "m_ncdm", given.get(source, DEFAULTS["m_ncdm"]))
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
        value = to_array(name, given.get(name, DEFAULTS[name]))
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


def _massless_number(given: dict[str, Any], values: dict[str, Any]) -> Any:
    if "N_ur" in given:
        return to_scalar("N_ur", given["N_ur"])
    massive = relativistic_number(values["T_ncdm"], values["deg_ncdm"]).sum()
    if "N_eff" in given:
        number = to_scalar("N_eff", given["N_eff"]) - massive
        what = "N_eff is less than the massive species contribute"
    else:
        standard = N_UR_ONE_MASSIVE + relativistic_number(DEFAULTS["T_ncdm"], DEFAULTS["deg_ncdm"])
        number = (standard if values["m_ncdm"].shape[0] else N_EFF_MASSLESS) - massive
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


def _check(values: dict[str, Any], source: dict[str, str], closed: bool) -> None:
    """Raise on every concrete value out of range, and if all are concrete and `closed` on densities above critical."""
    for name, limits in STORED.items():
        value = values[name]
        if value is None or isinstance(value, str) or is_traced(value):
            continue
        if np.any(outside(value, limits)):
            raise ParameterRangeError(range_message(name, value, source.get(name)))
    if values["w0_fld"] is not None and not is_traced((values["w0_fld"], values["wa_fld"])):
        for bad, message in dark_energy_errors(values["w0_fld"], values["wa_fld"], values["use_ppf"]):
            if bad:
                raise ParameterRangeError(message)
    used = {name: values[name] for name in ("h", "omega_b", "omega_cdm", "Omega_k", "N_ur", "T_cmb", *VECTORS)}
    if is_traced(used) or not closed:
        return
    Omega_Lambda = omega_lambda(used) / used["h"] ** 2
    if not Omega_Lambda >= 0.0:
        raise ParameterRangeError(closure_message(Omega_Lambda))
