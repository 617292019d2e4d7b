"""The cosmology: parameters as traced leaves, the densities that follow from them, checks and conversions."""

import os
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax import parameters as _p
from boltzax.errors import MissingParameterError, ParameterRangeError, error_if, require_x64
from boltzax.parameters import PARAMETERS, Parameter

__all__ = ["PARAMETERS", "Cosmology", "Parameter"]


class Cosmology(eqx.Module):
    """Parameters of a flat LCDM cosmology with massless and massive neutrinos, under CLASS's names.

    Every argument is a keyword and has a default; together the defaults are Planck 2018 (arXiv:1807.06209, table 2,
    last column) with one neutrino of 0.06 eV. For one quantity give one parameter:

    - `h` or `H0` [km/s/Mpc];
    - `omega_b` or `Omega_b`;
    - `omega_cdm`, `Omega_cdm`, `omega_m` or `Omega_m` (matter is b + cdm + the non-relativistic part rho - 3p of ncdm);
    - `ln_A_s_1e10` or `A_s`, at `k_pivot` [1/Mpc];
    - `tau_reio` or `z_reio`;
    - `N_ur` or `N_eff`, where N_ur = N_eff - sum of deg_ncdm (T_ncdm (11/4)^(1/3))^4, which is what the massive species
      contribute while relativistic. With neither, N_eff is 3.044 without massive species and 3.0460 with them, so
      that one, two or three of them leave N_ur = 2.0328, 1.0196 or 0.0064 as in CLASS;
    - `m_ncdm` [eV]: a number or one for each species, () for massless neutrinos only; `T_ncdm` [T_cmb] and `deg_ncdm`:
      a number for all species or one for each;
    - `YHe`: a number, or "BBN" (default) for big-bang nucleosynthesis;
    - `recombination`: "hyrec" or "recfast";
    - `log10T_heat_hmcode`: strength of baryonic feedback, read by `Outputs(nonlinear="hmcode2020_feedback")` alone, which
      takes 7.8 without it.

    The fields are float64 scalars, or vectors over massive species, and all are traced except `recombination`: a
    Cosmology can be built, differentiated and mapped over inside jax transformations.

    Raises: `UnknownParameterError`, `ConflictingParametersError`, `MissingParameterError`, `ParameterRangeError`,
    `NotImplementedParameterError` (all are `CosmologyError`), as soon as the values are concrete; traced values are
    checked by `checked`, which `solve` calls.
    """

    h: Float[Array, ""]
    omega_b: Float[Array, ""]
    omega_cdm: Float[Array, ""]
    N_ur: Float[Array, ""]
    m_ncdm: Float[Array, " n"]
    T_ncdm: Float[Array, " n"]
    deg_ncdm: Float[Array, " n"]
    T_cmb: Float[Array, ""]
    YHe: Float[Array, ""] | None
    ln_A_s_1e10: Float[Array, ""]
    n_s: Float[Array, ""]
    k_pivot: Float[Array, ""]
    tau_reio: Float[Array, ""] | None
    z_reio: Float[Array, ""] | None
    reionization_width: Float[Array, ""]
    reionization_exponent: Float[Array, ""]
    helium_fullreio_redshift: Float[Array, ""]
    helium_fullreio_width: Float[Array, ""]
    recombination: str = eqx.field(static=True)
    log10T_heat_hmcode: Float[Array, ""] | None

    def __init__(
        self,
        *,
        h=None,
        H0=None,
        omega_b=None,
        Omega_b=None,
        omega_cdm=None,
        Omega_cdm=None,
        omega_m=None,
        Omega_m=None,
        N_ur=None,
        N_eff=None,
        N_ncdm=None,
        m_ncdm=None,
        T_ncdm=None,
        deg_ncdm=None,
        T_cmb=None,
        YHe="BBN",
        A_s=None,
        ln_A_s_1e10=None,
        n_s=None,
        k_pivot=None,
        tau_reio=None,
        z_reio=None,
        reionization_width=None,
        reionization_exponent=None,
        helium_fullreio_redshift=None,
        helium_fullreio_width=None,
        recombination=None,
        log10T_heat_hmcode=None,
        **others,
    ):
        arguments = {k: v for k, v in locals().items() if k in PARAMETERS and v is not None}
        require_x64()
        values = _p.resolve(_p.merge(arguments, others))
        for name in _p.STORED:
            value = values[name]
            is_text = value is None or isinstance(value, str)
            setattr(self, name, value if is_text else jnp.asarray(value, dtype=jnp.float64))

    # -- derived -----------------------------------------------------------------------------------------------------

    @property
    def H0(self) -> Float[Array, ""]:
        """Hubble constant [km/s/Mpc]."""
        return 100.0 * self.h

    @property
    def A_s(self) -> Float[Array, ""]:
        """Scalar amplitude at k_pivot."""
        return jnp.exp(self.ln_A_s_1e10) * 1.0e-10

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
    def Omega_m(self) -> Float[Array, ""]:
        """Matter over critical: baryons, cdm and the non-relativistic part (rho - 3p) of massive species."""
        rho, three_p = _p.omega_ncdm(self.m_ncdm, self.T_ncdm, self.deg_ncdm, self.T_cmb)
        return (self.omega_b + self.omega_cdm + jnp.sum(rho - three_p, axis=-1)) / self.h**2

    @property
    def Omega_Lambda(self) -> Float[Array, ""]:
        """Cosmological constant over critical, by closure: the sum of all Omega is 1."""
        return _p.omega_lambda({name: getattr(self, name) for name in _p.STORED}) / self.h**2

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
        changes = _p.merge({}, changes)
        kept = {name: getattr(self, name) for name in _p.STORED}
        for group in _p.GROUPS:
            if any(name in changes for name in group):
                kept = {k: v for k, v in kept.items() if k not in group}
        if "m_ncdm" in changes and _p.to_vector("m_ncdm", changes["m_ncdm"]).shape[0] != self.N_ncdm:
            if "N_ur" in kept:
                raise MissingParameterError(
                    "the number of massive species (m_ncdm) changes: give N_ur or N_eff for the new number as well"
                )
            del kept["T_ncdm"], kept["deg_ncdm"]
        return type(self)(**{**{k: v for k, v in kept.items() if v is not None}, **changes})

    def checked(self, on_error: str | None = None) -> "Cosmology":
        """This cosmology after a check of every value: at once if concrete, at run time (`error_if`) if traced."""
        names = [name for name in _p.STORED if eqx.is_array(getattr(self, name))]
        values = {name: getattr(self, name) for name in names}
        for name, value in values.items():
            bad = _p.outside(value, _p.STORED[name])
            values[name] = error_if(value, bad, _p.range_message(name, value), ParameterRangeError, on_error)
        bad = ~(self.Omega_Lambda >= 0.0)
        message = _p.closure_message(self.Omega_Lambda)
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
        """The stored parameters as Python numbers and lists, under CLASS's names; `from_dict` reads them back."""
        out: dict[str, Any] = {}
        for name in _p.STORED:
            value = getattr(self, name)
            if value is not None:
                out[name] = value if isinstance(value, str) else np.asarray(value).tolist()
        out.setdefault("YHe", "BBN")
        return out

    def to_classy(self) -> dict[str, Any]:
        """The settings with which classy computes the same cosmology (parameters only, no outputs)."""
        settings = self.to_dict()
        settings["recombination"] = {"hyrec": "HyRec", "recfast": "RECFAST"}[self.recombination]
        for name in _p.VECTORS:
            values = settings.pop(name)
            if values:
                settings[name] = ",".join(repr(v) for v in values)
        if self.N_ncdm:
            settings["N_ncdm"] = self.N_ncdm
        return settings

    def __repr__(self) -> str:
        lines = []
        for name, parameter in _p.STORED.items():
            value = getattr(self, name)
            if value is None:
                if name != "YHe":
                    continue
                value = "BBN"
            lines.append(f"  {name} = {_p.show(value)}{' ' + parameter.unit if parameter.unit else ''},")
        return "Cosmology(\n" + "\n".join(lines) + "\n)"
