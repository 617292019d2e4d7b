"""Settings of CLASS as a cosmology and outputs of boltzax, and a cosmology as settings of CLASS."""

from collections.abc import Mapping
from typing import Any

from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError, NotImplementedParameterError
from boltzax.fluids import DecayingDarkMatter, Fluid, InteractingRadiation
from boltzax.isocurvature import FLAT, KINDS
from boltzax.parameters import VARYING, VECTORS
from boltzax.precision import Outputs

# settings of CLASS that change nothing here as long as they have one of these values
_INERT: dict[str, tuple[str, ...]] = {
    "gauge": ("synchronous", "newtonian"), "lensing": ("yes", "no", "y", "n"),
    "reio_parametrization": ("reio_camb",),
    "P_k_ini type": ("analytic_Pk",), "fluid_equation_of_state": ("CLP",),
    "varying_transition_redshift": ("50", "50.0"), "bbn_alpha_sensitivity": ("1", "1.0"),
    "f_eff_type": ("on_the_spot",), "chi_type": ("CK_2004",),
}  # fmt: skip
_OUTPUT = {"tCl", "pCl", "lCl", "mPk"}
_SETTINGS = (
    "output", "modes", "ic", "non_linear", "hmcode_version", "l_max_scalars", "l_max_tensors", "P_k_max_1/Mpc",
    "P_k_max_h/Mpc", "z_max_pk", "z_pk",
)  # fmt: skip
_NONE = ("none", "", "no")
#: methods of `Outputs(nonlinear=...)` in the words of CLASS
NONLINEAR_SETTINGS = {
    "halofit": {"non_linear": "halofit"},
    "hmcode2020": {"non_linear": "hmcode", "hmcode_version": "2020"},
    "hmcode2020_feedback": {"non_linear": "hmcode", "hmcode_version": "2020_baryonic_feedback"},
}
_SPECIES = ("N_idr", "idr_nature", "Gamma_dcdm", "omega_ini_dcdm", "Omega_ini_dcdm")
_FLUID = ("w0_fld", "wa_fld", "cs2_fld")


class CosmoSevereError(BoltzaxError, ValueError):
    """A setting cannot be used (the name that classy gives to such errors)."""


def translate(given: Mapping[str, Any]) -> tuple[Cosmology, Outputs]:
    """The cosmology and the outputs that settings of CLASS describe.

    Raises CosmoSevereError on an unknown or contradictory setting, NotImplementedParameterError, by name, on one that
    boltzax does not have.
    """
    parameters, settings = {}, {}
    for name, value in given.items():
        known = "non_linear" if name == "non linear" else name
        if known in _SETTINGS:
            settings[known] = value
        elif name in _INERT:
            if str(value).strip().lower() not in (text.lower() for text in _INERT[name]):
                raise _unavailable(name, value)
        elif not name.endswith("_verbose"):
            parameters[name] = value
    unknown = set(str(settings.get("output", "")).replace(",", " ").split()) - _OUTPUT
    if unknown:
        raise NotImplementedParameterError(f"output '{unknown.pop()}' is not available in boltzax ({sorted(_OUTPUT)})")
    _tensors(parameters, settings)
    _initial_conditions(parameters, settings)
    _closure(parameters)
    _constants(parameters)
    species = {name: parameters.pop(name) for name in _SPECIES if name in parameters}
    if float(parameters.get("Omega_k", 1.0)) == 0.0:
        del parameters["Omega_k"]
    try:
        cosmo = Cosmology.from_dict(parameters)
        fluids = _fluids(species, float(cosmo.h))
        cosmo = cosmo.replace(fluids=fluids) if fluids else cosmo
        h = float(cosmo.h)
        k_max = max(float(settings.get("P_k_max_1/Mpc", 0.0)), h * float(settings.get("P_k_max_h/Mpc", 0.0)))
        l_max, k_max = int(settings.get("l_max_scalars", 2500)), max(k_max, Outputs().k_max)
        return cosmo, Outputs(l_max=l_max, k_max=k_max, nonlinear=nonlinear_method(settings))
    except NotImplementedParameterError:
        raise
    except BoltzaxError as error:
        raise CosmoSevereError(str(error)) from error


def _unavailable(name: str, value: Any) -> NotImplementedParameterError:
    return NotImplementedParameterError(f"'{name} = {value}' is not available in boltzax")


def _words(value: Any) -> list[str]:
    return str(value).replace(" ", "").lower().split(",")


def _tensors(parameters: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Keeps r where there are tensor modes; as in CLASS it is 1 unless given."""
    modes = _words(settings.get("modes", "s"))
    if "s" not in modes or not set(modes) <= {"s", "t"}:
        raise NotImplementedParameterError(f"'modes = {settings['modes']}' is not available in boltzax: s or s,t")
    if "t" in modes:
        parameters.setdefault("r", 1.0)
    elif float(parameters.pop("r", 0.0)):
        raise CosmoSevereError("r needs modes = 's,t'")


def _initial_conditions(parameters: dict[str, Any], settings: Mapping[str, Any]) -> None:
    """Isocurvature modes are those of `ic`; as in CLASS f_X is 1 unless given."""
    modes = _words(settings.get("ic", "ad"))
    if "ad" not in modes or not set(modes) <= {"ad", *KINDS}:
        raise _unavailable("ic", settings["ic"])
    stray = next((name for name in parameters if name in FLAT and FLAT[name][1] not in modes), None)
    if stray:
        raise CosmoSevereError(f"{stray} needs ic = 'ad,{FLAT[stray][1]}'")
    for kind in modes:
        if kind != "ad":
            parameters.setdefault(f"f_{kind}", 1.0)


def _closure(parameters: dict[str, Any]) -> None:
    """Dark energy is a fluid where CLASS is told that there is no cosmological constant."""
    if float(parameters.get("Omega_Lambda", 1.0)) == 0.0:
        del parameters["Omega_Lambda"]
        parameters.setdefault("w0_fld", -1.0)
    elif any(name in parameters for name in _FLUID):
        raise CosmoSevereError("a fluid of dark energy (w0_fld, wa_fld, cs2_fld) needs Omega_Lambda = 0")


def _constants(parameters: dict[str, Any]) -> None:
    """Constants of nature differ at recombination where CLASS is told how."""
    how = str(parameters.pop("varying_fundamental_constants", "none")).strip().lower()
    if how not in ("none", "instantaneous"):
        raise _unavailable("varying_fundamental_constants", how)
    stray = next((name for name in VARYING if name in parameters), None)
    if stray and how == "none":
        raise CosmoSevereError(f"{stray} needs varying_fundamental_constants = 'instantaneous'")


def _fluids(given: Mapping[str, Any], h: float) -> tuple[Fluid, ...]:
    """Self-interacting dark radiation, and dark matter that decays."""
    fluids: list[Fluid] = []
    if float(given.get("N_idr", 0.0)):
        nature = str(given.get("idr_nature", "free_streaming")).strip().lower()
        if nature != "fluid":
            raise _unavailable("idr_nature", nature)
        fluids.append(InteractingRadiation(float(given["N_idr"])))
    omega = float(given.get("omega_ini_dcdm", h**2 * float(given.get("Omega_ini_dcdm", 0.0))))
    if omega:
        fluids.append(DecayingDarkMatter(float(given.get("Gamma_dcdm", 0.0)), omega))
    elif float(given.get("Gamma_dcdm", 0.0)):
        raise CosmoSevereError("Gamma_dcdm needs omega_ini_dcdm or Omega_ini_dcdm")
    return tuple(fluids)


def nonlinear_method(settings: Mapping[str, Any]) -> str | None:
    """The method of `Outputs` that CLASS's `non_linear` and `hmcode_version` name; none if they are not given."""
    method = str(settings.get("non_linear", "none")).strip().lower()
    if method in _NONE:
        return None
    version = str(settings.get("hmcode_version", "2020")).strip().lower()
    asked = {"non_linear": method} | ({"hmcode_version": version} if method == "hmcode" else {})
    known = next((name for name, words in NONLINEAR_SETTINGS.items() if words == asked), None)
    if known is None:
        raise _unavailable("non_linear", " ".join(asked.values()))
    return known


def of_cosmology(cosmo: Cosmology) -> dict[str, Any]:
    """The settings with which classy computes the same cosmology; see `Cosmology.to_classy`."""
    settings = cosmo.to_dict()
    settings["recombination"] = {"hyrec": "HyRec", "recfast": "RECFAST"}[cosmo.recombination]
    for name in VECTORS:
        values = settings.pop(name)
        if values:
            settings[name] = ",".join(repr(v) for v in values)
    if cosmo.N_ncdm:
        settings["N_ncdm"] = cosmo.N_ncdm
    if settings.pop("beta_s") != 0.0:
        raise NotImplementedParameterError("CLASS has no running of the running: beta_s must be 0")
    for name, theirs, neutral in (("alpha_s", "alpha_s", 0.0), ("A_lens", "A_L", 1.0)):
        value = settings.pop(name)
        settings |= {theirs: value} if value != neutral else {}
    if cosmo.r is not None:
        settings |= {"modes": "s,t"} | {name: settings.get(name, "scc") for name in ("n_t", "alpha_t")}
    if cosmo.cs2_fld is not None:
        settings |= {"Omega_Lambda": 0.0, "fluid_equation_of_state": "CLP"}
    if cosmo.varying_alpha is not None:
        settings["varying_fundamental_constants"] = "instantaneous"
    if cosmo.isocurvature:
        settings["ic"] = ",".join(["ad", *(mode.kind for mode in cosmo.isocurvature)])
    return settings
