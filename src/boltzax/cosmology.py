"""The cosmology: parameters as traced leaves, the densities that follow from them, checks and conversions."""

import os
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax import isocurvature as iso
from boltzax import parameters as _p
from boltzax import resolution, shooting
from boltzax.errors import (
    MissingParameterError,
    NotImplementedParameterError,
    ParameterRangeError,
    error_if,
    require_x64,
)
from boltzax.fluids import CPL, PPF, DarkEnergy, Fluid, SoundSpeed, Tabulated
from boltzax.numerics.function import as_module
from boltzax.parameters import PARAMETERS, Parameter
from boltzax.show import listed
from boltzax.spectra.primordial import curvature_power

__all__ = ["PARAMETERS", "Cosmology", "Parameter"]

_OBJECTS = ("w_fld", "fluids", "primordial_spectrum")  # arguments and fields that are no numbers


class Cosmology(eqx.Module):
    """Parameters of a cosmology, under CLASS's names: LCDM with massless and massive neutrinos, and what is added.

    Every argument is a keyword and has a default; together they are Planck 2018 (arXiv:1807.06209, table 2, last
    column) with one neutrino of 0.06 eV. For one quantity give one parameter:

    - `h` or `H0` [km/s/Mpc], or the h that gives an angle of the sound horizon: `theta_s_100` (at the visibility peak)
      or `theta_star_100` (at optical depth 1), both as in CLASS and times 100, `thetastar` (at optical depth 1 without
      reionization) or `cosmomc_theta` (by the fitting formula of CosmoMC), both as in CAMB;
    - `omega_b` or `Omega_b`;
    - `omega_cdm`, `Omega_cdm`, `omega_m` or `Omega_m` (matter is b + cdm + the non-relativistic part rho - 3p of ncdm);
    - `ln_A_s_1e10` or `A_s`, at `k_pivot` [1/Mpc], with the index `n_s`, its running `alpha_s` and the running of that,
      `beta_s`; or `primordial_spectrum`, a JAX function P_R(k), k [1/Mpc] (an equinox module if it has parameters of
      its own), in place of all of them;
    - `r` for tensor modes, P_T = r P_R at k_pivot, with `n_t` and `alpha_t`: numbers, or "scc" (default) for the
      consistency relation of single-field inflation;
    - `tau_reio` or `z_reio`;
    - `Omega_k`: curvature; without it space is flat, and Omega_k = 0.0 is a curved space at that value;
    - `N_ur` or `N_eff`, where N_ur = N_eff - sum of deg_ncdm (T_ncdm (11/4)^(1/3))^4, which is what the massive species
      contribute while relativistic. With neither, N_eff is 3.044 without massive species and 3.0460 with them, so
      that one, two or three of them leave N_ur = 2.0328, 1.0196 or 0.0064 as in CLASS;
    - `m_ncdm` [eV], `omega_ncdm` or `Omega_ncdm`: a number or one for each species, () for massless neutrinos only (for
      a sum of masses see `boltzax.neutrino_masses`); `T_ncdm` [T_cmb] and `deg_ncdm`: a number for all species or one
      for each;
    - `YHe`: a number, or "BBN" (default) for big-bang nucleosynthesis;
    - `A_lens`: factor of C_l^phiphi, as CLASS's A_L: of what lenses and of what is reported;
    - `w0_fld`, `wa_fld` for dark energy with w = w0 + wa (1 - a), or `w_fld`, a JAX function of the scale factor (an
      equinox module if it has parameters of its own); with any of them `cs2_fld`, its sound speed squared (1), and
      `use_ppf`: "yes" (default), or "no" for a fluid, which must not cross w = -1. With none, dark energy is a
      cosmological constant;
    - `fluids`: further species, each a `boltzax.fluids.Fluid`;
    - `isocurvature`: entropy modes, each a `boltzax.Isocurvature`, or CLASS's `f_cdi`, `n_cdi`, `alpha_cdi`,
      `c_ad_cdi`, `n_ad_cdi` and the same for `bi`, `nid`, `niv`;
    - `recombination`: "hyrec" or "recfast"; `varying_alpha` and `varying_me`, the fine-structure constant and the
      electron mass before z = 50 over today's; `DM_annihilation_efficiency` [m^3/s/J] of dark matter;
    - `log10T_heat_hmcode`: strength of baryonic feedback, read by `Outputs(nonlinear="hmcode2020_feedback")` alone,
      which takes 7.8 without it.

    The fields are float64 scalars, or vectors over massive species, and all are traced except texts: a
    Cosmology can be built, differentiated and mapped over inside jax transformations.

    Raises: `UnknownParameterError`, `ConflictingParametersError`, `MissingParameterError`, `ParameterRangeError`,
    `NotImplementedParameterError` (all are `CosmologyError`), as soon as the values are concrete; traced values are
    checked by `checked`, which `solve` calls.
    """

    h: Float[Array, ""]
    omega_b: Float[Array, ""]
    omega_cdm: Float[Array, ""]
    Omega_k: Float[Array, ""] | None
    N_ur: Float[Array, ""]
    m_ncdm: Float[Array, " n"]
    T_ncdm: Float[Array, " n"]
    deg_ncdm: Float[Array, " n"]
    T_cmb: Float[Array, ""]
    YHe: Float[Array, ""] | None
    ln_A_s_1e10: Float[Array, ""]
    n_s: Float[Array, ""]
    alpha_s: Float[Array, ""]
    beta_s: Float[Array, ""]
    k_pivot: Float[Array, ""]
    r: Float[Array, ""] | None
    n_t: Float[Array, ""] | None
    alpha_t: Float[Array, ""] | None
    A_lens: Float[Array, ""]
    tau_reio: Float[Array, ""] | None
    z_reio: Float[Array, ""] | None
    reionization_width: Float[Array, ""]
    reionization_exponent: Float[Array, ""]
    helium_fullreio_redshift: Float[Array, ""]
    helium_fullreio_width: Float[Array, ""]
    w0_fld: Float[Array, ""] | None
    wa_fld: Float[Array, ""] | None
    cs2_fld: Float[Array, ""] | None
    use_ppf: str | None = eqx.field(static=True)
    recombination: str = eqx.field(static=True)
    varying_alpha: Float[Array, ""] | None
    varying_me: Float[Array, ""] | None
    DM_annihilation_efficiency: Float[Array, ""] | None
    log10T_heat_hmcode: Float[Array, ""] | None
    w_fld: Any
    fluids: tuple[Fluid, ...]
    isocurvature: tuple[iso.Isocurvature, ...]
    primordial_spectrum: Any

    def __init__(
        self,
        *,
        h=None,
        H0=None,
        theta_s_100=None,
        theta_star_100=None,
        thetastar=None,
        cosmomc_theta=None,
        omega_b=None,
        Omega_b=None,
        omega_cdm=None,
        Omega_cdm=None,
        omega_m=None,
        Omega_m=None,
        Omega_k=None,
        N_ur=None,
        N_eff=None,
        N_ncdm=None,
        m_ncdm=None,
        omega_ncdm=None,
        Omega_ncdm=None,
        T_ncdm=None,
        deg_ncdm=None,
        T_cmb=None,
        YHe="BBN",
        A_s=None,
        ln_A_s_1e10=None,
        n_s=None,
        alpha_s=None,
        beta_s=None,
        k_pivot=None,
        r=None,
        n_t=None,
        alpha_t=None,
        A_lens=None,
        tau_reio=None,
        z_reio=None,
        reionization_width=None,
        reionization_exponent=None,
        helium_fullreio_redshift=None,
        helium_fullreio_width=None,
        w0_fld=None,
        wa_fld=None,
        cs2_fld=None,
        use_ppf=None,
        recombination=None,
        varying_alpha=None,
        varying_me=None,
        DM_annihilation_efficiency=None,
        log10T_heat_hmcode=None,
        w_fld=None,
        fluids=(),
        isocurvature=(),
        primordial_spectrum=None,
        **others,
    ):
        arguments = {k: v for k, v in locals().items() if k in PARAMETERS and v is not None}
        require_x64()
        flat = {name: others.pop(name) for name in list(others) if name in iso.FLAT}
        given = resolution.merge(arguments, others)
        self.w_fld = as_module(w_fld)
        self.fluids = tuple(as_module(fluid) for fluid in fluids)
        self.isocurvature = iso.combine(isocurvature, flat, self.fluids)
        self.primordial_spectrum = resolution.primordial_spectrum(primordial_spectrum, given)
        objects = {"w_fld": self.w_fld, "fluids": self.fluids}
        given |= {name: value for name, value in objects.items() if value}
        values = resolution.resolve(shooting.with_hubble(type(self), given))
        for name in _p.STORED:
            value = values[name]
            is_text = value is None or isinstance(value, str)
            setattr(self, name, value if is_text else jnp.asarray(value, dtype=jnp.float64))
        resolution.check_combinations(self)

    # -- derived -----------------------------------------------------------------------------------------------------

    @property
    def H0(self) -> Float[Array, ""]:
        """Hubble constant [km/s/Mpc]."""
        return 100.0 * self.h

    @property
    def theta_s_100(self) -> Float[Array, ""]:
        """100 times the angle of the sound horizon at the visibility peak; computes recombination."""
        return shooting.angle(self, "theta_s_100")

    @property
    def theta_star_100(self) -> Float[Array, ""]:
        """100 times the angle of the sound horizon at optical depth 1; computes recombination."""
        return shooting.angle(self, "theta_star_100")

    @property
    def thetastar(self) -> Float[Array, ""]:
        """The angle of the sound horizon at optical depth 1 without reionization; computes recombination."""
        return shooting.angle(self, "thetastar")

    @property
    def cosmomc_theta(self) -> Float[Array, ""]:
        """The angle of the sound horizon by the fitting formula of CosmoMC."""
        return shooting.angle(self, "cosmomc_theta")

    @property
    def A_s(self) -> Float[Array, ""]:
        """Scalar amplitude at k_pivot."""
        return curvature_power(self, self.k_pivot)

    @property
    def Omega_b(self) -> Float[Array, ""]:
        """Baryon density over critical."""
        return self.omega_b / self.h**2

    @property
    def Omega_cdm(self) -> Float[Array, ""]:
        """Cold dark matter density over critical."""
        return self.omega_cdm / self.h**2

    @property
    def omega_g(self) -> Float[Array, ""]:
        """Photon density Omega_g h^2."""
        return _p.omega_radiation(self.N_ur, self.T_cmb)[0]

    @property
    def Omega_g(self) -> Float[Array, ""]:
        """Photon density over critical."""
        return self.omega_g / self.h**2

    @property
    def omega_ur(self) -> Float[Array, ""]:
        """Massless neutrino density Omega_ur h^2."""
        return _p.omega_radiation(self.N_ur, self.T_cmb)[1]

    @property
    def omega_ncdm(self) -> Float[Array, " n"]:
        """Density of each massive species today, Omega_ncdm h^2 [n]."""
        return _p.omega_ncdm(self.m_ncdm, self.T_ncdm, self.deg_ncdm, self.T_cmb)[0]

    @property
    def Omega_ncdm(self) -> Float[Array, " n"]:
        """Density of each massive species over critical [n]."""
        return self.omega_ncdm / self.h**2

    @property
    def omega_m(self) -> Float[Array, ""]:
        """Matter density Omega_m h^2."""
        return self.Omega_m * self.h**2

    @property
    def Omega_m(self) -> Float[Array, ""]:
        """Matter over critical: baryons, cdm and the non-relativistic part (rho - 3p) of massive species."""
        rho, three_p = _p.omega_ncdm(self.m_ncdm, self.T_ncdm, self.deg_ncdm, self.T_cmb)
        return (self.omega_b + self.omega_cdm + jnp.sum(rho - three_p, axis=-1)) / self.h**2

    @property
    def Omega_Lambda(self) -> Float[Array, ""]:
        """Cosmological constant over critical, by closure: the sum of all Omega is 1; zero if dark energy is a fluid.

        `fluids` are not counted: see `boltzax.background.background`.
        """
        return self._closure if self.cs2_fld is None else jnp.zeros_like(self._closure)

    @property
    def Omega_fld(self) -> Float[Array, ""]:
        """Dark energy with an equation of state over critical, by closure; zero if it is a cosmological constant."""
        return jnp.zeros_like(self._closure) if self.cs2_fld is None else self._closure

    @property
    def _closure(self):
        return _p.omega_lambda({name: getattr(self, name) for name in _p.STORED}) / self.h**2

    @property
    def dark_energy(self) -> DarkEnergy | None:
        """Dark energy as a species, its density still to be fixed; None if it is a cosmological constant."""
        if self.cs2_fld is None:
            return None
        w = CPL(self.w0_fld, self.wa_fld) if self.w_fld is None else Tabulated.of(self.w_fld)
        return (PPF if self.use_ppf == "yes" else SoundSpeed)(w, self.cs2_fld)

    @property
    def N_eff(self) -> Float[Array, ""]:
        """Effective number of relativistic neutrinos before the massive ones become slow."""
        return self.N_ur + jnp.sum(_p.relativistic_number(self.T_ncdm, self.deg_ncdm), axis=-1)

    @property
    def N_ncdm(self) -> int:
        """Number of massive species."""
        return self.m_ncdm.shape[-1]

    # -- copies and checks -------------------------------------------------------------------------------------------

    def replace(self, **changes: Any) -> "Cosmology":
        """A copy with some parameters changed, under any of their names, checked as the constructor does.

        What is kept is what is stored: changing h keeps omega_b, not Omega_b. Changing the number of massive species
        needs N_ur or N_eff as well; T_ncdm and deg_ncdm then return to their defaults unless they are given.
        """
        objects = {name: changes.pop(name, getattr(self, name)) for name in (*_OBJECTS, "isocurvature")}
        flat = {name: changes.pop(name) for name in list(changes) if name in iso.FLAT}
        objects["isocurvature"] = iso.changed(objects["isocurvature"], flat)
        changes = resolution.merge({}, changes)
        kept = {name: getattr(self, name) for name in _p.STORED}
        if objects["w_fld"] is not None:
            kept.pop("w0_fld"), kept.pop("wa_fld")
        if objects["primordial_spectrum"] is not None:
            kept = {k: v for k, v in kept.items() if k not in _p.POWER_LAW}
        for group in _p.GROUPS:
            if any(name in changes for name in group):
                kept = {k: v for k, v in kept.items() if k not in group}
        masses = next((name for name in _p.MASSES if name in changes), None)
        if masses and _p.to_vector(masses, changes[masses]).shape[0] != self.N_ncdm:
            if "N_ur" in kept:
                raise MissingParameterError(
                    f"the number of massive species ({masses}) changes: give N_ur or N_eff for the new number as well"
                )
            del kept["T_ncdm"], kept["deg_ncdm"]
        return type(self)(**{k: v for k, v in kept.items() if v is not None} | changes | objects)

    def checked(self, on_error: str | None = None) -> "Cosmology":
        """This cosmology after a check of every value: at once if concrete, at run time (`error_if`) if traced."""
        names = [name for name in _p.STORED if eqx.is_array(getattr(self, name))]
        values = {name: getattr(self, name) for name in names}
        for name, value in values.items():
            bad = _p.outside(value, _p.STORED[name])
            values[name] = error_if(value, bad, _p.range_message(name, value), ParameterRangeError, on_error)
        if self.w0_fld is not None:
            for bad, message in _p.dark_energy_errors(self.w0_fld, self.wa_fld, self.use_ppf):
                values["w0_fld"] = error_if(values["w0_fld"], bad, message, ParameterRangeError, on_error)
        bad, message = ~(self._closure >= 0.0), _p.closure_message(self._closure)
        values["h"] = error_if(values["h"], bad, message, ParameterRangeError, on_error)
        return eqx.tree_at(lambda cosmo: [getattr(cosmo, name) for name in names], self, list(values.values()))

    # -- conversions -------------------------------------------------------------------------------------------------

    @classmethod
    def from_dict(cls, parameters: Mapping[str, Any]) -> "Cosmology":
        """A Cosmology from names and values; texts are read as numbers, "0.05, 0.01" as one number for each species."""
        missing = [name for name, value in parameters.items() if value is None]
        if missing:
            raise MissingParameterError(f"parameter '{missing[0]}' has no value")
        return cls(**{str(name): _p.parse(str(name), value) for name, value in parameters.items()})

    @classmethod
    def from_yaml(cls, path: str | os.PathLike) -> "Cosmology":
        """A Cosmology from a YAML file that maps names to values; raises `ParameterFileError` if it cannot be read."""
        return cls.from_dict(_p.read_yaml(path))

    def to_dict(self) -> dict[str, Any]:
        """The stored parameters as Python numbers and lists, under CLASS's names; `from_dict` reads them back.

        Raises NotImplementedParameterError for `w_fld`, `fluids` and `primordial_spectrum`: functions, not numbers.
        """
        if any(getattr(self, name) for name in _OBJECTS):
            raise NotImplementedParameterError(f"{', '.join(_OBJECTS)} are Python objects, not numbers")
        out: dict[str, Any] = {}
        for name in _p.STORED:
            value = getattr(self, name)
            if value is not None:
                out[name] = value if isinstance(value, str) else np.asarray(value).tolist()
        out.setdefault("YHe", "BBN")
        for mode in self.isocurvature:
            out |= mode.settings()
        return out

    def to_classy(self) -> dict[str, Any]:
        """The settings with which classy computes the same cosmology (parameters only, no outputs)."""
        from boltzax.compat_settings import of_cosmology  # which builds cosmologies

        return of_cosmology(self)

    def _brief(self) -> str:
        names = ("h", "omega_b", "omega_cdm", "ln_A_s_1e10", "n_s", "tau_reio", "m_ncdm")
        return listed(self, names, {"m_ncdm": "eV"}) + ", ..."

    def __repr__(self) -> str:
        lines = []
        for name, parameter in _p.STORED.items():
            value = getattr(self, name)
            if value is None:
                if name != "YHe":
                    continue
                value = "BBN"
            lines.append(f"  {name} = {_p.show(value)}{' ' + parameter.unit if parameter.unit else ''},")
        lines += [f"  {name} = {getattr(self, name)}," for name in (*_OBJECTS, "isocurvature") if getattr(self, name)]
        return "Cosmology(\n" + "\n".join(lines) + "\n)"
