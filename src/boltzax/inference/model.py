"""A posterior: likelihoods, free parameters and their priors, as functions that JAX can differentiate."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import boltzax
from boltzax.cosmology import PARAMETERS, Cosmology
from boltzax.errors import (
    ConflictingParametersError,
    MissingParameterError,
    ParameterRangeError,
    UnknownParameterError,
    on_error_mode,
)
from boltzax.inference.likelihood import Likelihood
from boltzax.inference.observables import NONLINEAR, Observables, Theory
from boltzax.precision import Outputs, Precision

__all__ = ["DERIVED", "LABELS", "LCDM", "Model", "derived_values"]

#: free parameters of LCDM with reionization
LCDM = ("h", "omega_b", "omega_cdm", "ln_A_s_1e10", "n_s", "tau_reio")
#: parameters and derived parameters in LaTeX
LABELS = {
    "h": "h", "H0": "H_0", "omega_b": r"\omega_b", "omega_cdm": r"\omega_\mathrm{cdm}", "n_s": "n_s",
    "ln_A_s_1e10": r"\ln(10^{10}A_s)", "A_s": "A_s", "tau_reio": r"\tau_\mathrm{reio}", "z_reio": r"z_\mathrm{reio}",
    "m_ncdm": r"m_\nu", "N_ur": r"N_\mathrm{ur}", "N_eff": r"N_\mathrm{eff}", "Omega_m": r"\Omega_m",
    "omega_m": r"\omega_m", "Omega_b": r"\Omega_b", "Omega_cdm": r"\Omega_\mathrm{cdm}", "YHe": r"Y_\mathrm{He}",
    "sigma8": r"\sigma_8", "S8": "S_8", "theta_s_100": r"100\theta_s", "age": r"t_0", "rs_drag": r"r_\mathrm{drag}",
    "A_planck": r"A_\mathrm{Planck}", "theta_star_100": r"100\theta_*", "thetastar": r"\theta_*",
    "cosmomc_theta": r"\theta_\mathrm{MC}", "omega_ncdm": r"\omega_\nu", "Omega_ncdm": r"\Omega_\nu",
    "T_cmb": r"T_\mathrm{cmb}", "w0_fld": "w_0", "wa_fld": "w_a", "cs2_fld": r"c_s^2", "Omega_k": r"\Omega_k",
    "alpha_s": r"\alpha_s", "beta_s": r"\beta_s", "r": "r", "n_t": "n_t", "A_lens": r"A_\mathrm{lens}",
}  # fmt: skip
#: derived parameters that chains record
DERIVED = ("H0", "Omega_m", "sigma8", "S8", "theta_s_100", "A_s", "age", "rs_drag", "z_reio", "YHe", "N_eff")


def derived_values(derived: Any) -> dict[str, Any]:
    """The derived parameters `DERIVED` by name."""
    return {name: getattr(derived, name) for name in DERIVED}


class Model:
    """A posterior over a vector x of free parameters, in the order of `names`.

    likelihoods: what is fitted. Their own (nuisance) parameters are free with their own priors unless they are fixed.
    free: cosmological parameters to vary, under any name that `Cosmology` takes with one number. fixed: parameters held
    at other values than the defaults. priors: (mean, standard deviation) of Gaussian priors; the others are flat.
    bounds: (low, high) beyond which the posterior vanishes; by default the limits of `Cosmology`. start: where
    iterations begin. cosmology: a traceable function from a dict of the free cosmological parameters to a Cosmology, in
    place of `Cosmology(**fixed, **free)`. theory: a traceable function from a Cosmology to a `Theory`, in place of
    `boltzax.solve`, for instance an emulator. nonlinear: the corrections to the potential that lenses, as in `Outputs`;
    None leaves them out, which curvature and isocurvature need.

    Raises UnknownParameterError, ConflictingParametersError, MissingParameterError and ParameterRangeError.
    """

    def __init__(
        self,
        likelihoods: Sequence[Likelihood],
        free: Sequence[str] = LCDM,
        fixed: Mapping[str, Any] | None = None,
        priors: Mapping[str, tuple[float, float]] | None = None,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        start: Mapping[str, float] | None = None,
        cosmology: Callable[[dict[str, Any]], Cosmology] | None = None,
        theory: Callable[[Cosmology], Theory] | None = None,
        precision: Precision = Precision(),  # noqa: B008
        k_max: float | None = None,
        nonlinear: str | None = NONLINEAR,
    ):
        self.likelihoods = tuple(likelihoods)
        self.fixed, self.priors, start = dict(fixed or {}), dict(priors or {}), dict(start or {})
        own = {name: (mean, sigma) for like in self.likelihoods for name, mean, sigma in like.nuisance}
        self._make = cosmology
        self._cosmological = tuple(free)
        self._nuisance = tuple(name for name in own if name not in self.fixed)
        self.names = self._cosmological + self._nuisance
        self._fixed_nuisance = {name: self.fixed[name] for name in own if name in self.fixed}
        self._fixed_cosmology = {name: value for name, value in self.fixed.items() if name not in own}
        self.priors = {name: own[name] for name in self._nuisance} | self.priors
        self._check(own, bounds or {}, start)
        self.bounds = np.array([self._limits(name, bounds or {}) for name in self.names]).reshape(-1, 2)
        self.start = self._start(own, start)
        self.observables = Observables(tuple(sorted({z for like in self.likelihoods for z in like.z})))
        l_max = max([2, *(like.l_max for like in self.likelihoods)])
        chosen = {} if k_max is None else {"k_max": k_max}
        # without spectra among the data nothing is lensed
        self.outputs = Outputs(l_max=l_max, nonlinear=nonlinear if l_max > 2 else None, **chosen)
        self.precision = precision
        self._theory = None if theory is None else jax.jit(theory)

    # -- parameters --------------------------------------------------------------------------------------------------

    def _check(self, own, bounds, start):
        if not self.likelihoods:
            raise MissingParameterError("a model needs at least one likelihood")
        repeated = [name for name in self.names if self.names.count(name) > 1]
        if repeated:
            raise ConflictingParametersError(f"parameter '{repeated[0]}' is given twice")
        for name in self._cosmological:
            if self._make is None and name not in PARAMETERS:
                raise UnknownParameterError.from_name(name, [*PARAMETERS, *own], "free parameter")
            if name in self.fixed:
                raise ConflictingParametersError(f"parameter '{name}' is both free and fixed")
        for what, given in (("prior", self.priors), ("bounds", bounds), ("start", start)):
            for name in given:
                if name not in self.names:
                    raise UnknownParameterError.from_name(name, self.names, f"free parameter in {what}:")
        for name, (_, sigma) in self.priors.items():
            if not sigma > 0.0:
                raise ParameterRangeError(f"the standard deviation of the prior of {name} must be positive")

    def _limits(self, name, bounds):
        known = PARAMETERS.get(name)
        return bounds.get(name, (-np.inf, np.inf) if known is None else (known.low, known.high))

    def _start(self, own, start):
        default = None if self._make else Cosmology(**self._fixed_cosmology)
        values = []
        for name, (low, high) in zip(self.names, self.bounds, strict=True):
            if name in start:
                value = start[name]
            elif name in self.priors and (name in own or self._make):
                value = self.priors[name][0]
            elif default is not None and getattr(default, name, None) is not None:
                value = np.ravel(getattr(default, name))
                if value.size != 1:
                    raise ParameterRangeError(f"{name} holds {value.size} values: give `cosmology` to vary one number")
                value = value[0]
            else:
                raise MissingParameterError(f"no start for the free parameter '{name}': give start={{'{name}': ...}}")
            if not low <= value <= high:
                raise ParameterRangeError(f"the start {name} = {value} lies outside its bounds [{low}, {high}]")
            values.append(float(value))
        return np.array(values)

    def describe(self) -> dict[str, Any]:
        """What tells one model from another, in types that JSON knows."""
        fixed = {name: np.asarray(value).tolist() for name, value in self.fixed.items()}
        return {
            "likelihoods": [like.name for like in self.likelihoods], "names": list(self.names), "fixed": fixed,
            "priors": {name: list(map(float, prior)) for name, prior in self.priors.items()},
            "bounds": [[repr(float(v)) for v in pair] for pair in self.bounds],
            "precision": repr(self.precision), "outputs": repr(self.outputs),
        }  # fmt: skip

    def cosmology(self, x: Float[Array, " n"]) -> Cosmology:
        """The Cosmology at x, concrete or traced."""
        values = {name: x[i] for i, name in enumerate(self._cosmological)}
        return self._make(values) if self._make else Cosmology(**self._fixed_cosmology, **values)

    def nuisance(self, x: Float[Array, " n"]) -> dict[str, Any]:
        """Parameters of the likelihoods at x, fixed ones included."""
        first = len(self._cosmological)
        return {name: x[first + i] for i, name in enumerate(self._nuisance)} | self._fixed_nuisance

    def values(self, x: Float[Array, " n"]) -> dict[str, float]:
        """Names and values at x."""
        return {name: float(value) for name, value in zip(self.names, np.asarray(x), strict=True)}

    def inside(self, x: Float[Array, " n"]) -> bool:
        """Whether every parameter lies within its bounds."""
        return bool(np.all((x >= self.bounds[:, 0]) & (x <= self.bounds[:, 1])))

    # -- the posterior -----------------------------------------------------------------------------------------------

    def theory(self, x: Float[Array, " n"]) -> Theory:
        """Predictions at x; raises what `boltzax.solve` raises."""
        cosmo = self.cosmology(x)
        if self._theory is not None:
            return self._theory(cosmo)
        return self.observables(boltzax.solve(cosmo, self.outputs, self.precision))

    def residuals(self, theory: Theory, x: Float[Array, " n"]) -> Float[Array, " data"]:
        """Whitened residuals of every likelihood and of every Gaussian prior, joined."""
        return _residuals(self.likelihoods, theory, self.nuisance(x), jnp.asarray(x), *self._gaussians())

    def _gaussians(self):
        index = np.array([self.names.index(name) for name in self.priors], dtype=int)
        mean, sigma = np.array(list(self.priors.values()), dtype=float).reshape(-1, 2).T
        return index, mean, sigma

    def constant(self) -> float:
        """ln L + ln prior where all residuals vanish (priors without their normalisation)."""
        return sum(like.constant() for like in self.likelihoods)

    def log_posterior(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """ln L + ln prior at x, up to the priors' normalisation; traceable; -inf outside the bounds.

        Where `boltzax.solve` cannot follow it is -inf as well: a sampler rejects the point.
        """
        x = jnp.asarray(x, float)
        inside = jnp.all((x >= self.bounds[:, 0]) & (x <= self.bounds[:, 1]))
        safe = jnp.where(inside, x, self.start)
        with on_error_mode("nan"):
            chi2 = jnp.sum(self.residuals(self.theory(safe), safe) ** 2)
        return jnp.where(inside & jnp.isfinite(chi2), self.constant() - 0.5 * chi2, -jnp.inf)

    def chi2(self, x: Float[Array, " n"], theory: Theory | None = None) -> dict[str, float]:
        """-2 ln L of each likelihood (without constants), of the priors, and in total."""
        theory = self.theory(x) if theory is None else theory
        nuisance = self.nuisance(x)
        parts = {like.name: float(jnp.sum(like.residuals(theory, nuisance) ** 2)) for like in self.likelihoods}
        index, mean, sigma = self._gaussians()
        parts["priors"] = float(np.sum(((np.asarray(x)[index] - mean) / sigma) ** 2))
        return parts | {"total": sum(parts.values())}

    def linearize(self, x: Float[Array, " n"]) -> tuple[Theory, Float[Array, " data"], Float[Array, "data n"]]:
        """Theory, residuals and their Jacobian at a concrete x.

        The spectra come with their derivatives from one solution of the equations (`boltzax.jacobian`).
        """
        x = jnp.asarray(x, float)
        cosmo, d_cosmo = self.cosmology(x), jax.jacfwd(self.cosmology)(x)
        if self._theory is not None:
            theory = self._theory(cosmo)
            d_theory = jax.jacfwd(lambda x: self._theory(self.cosmology(x)))(x)
            d_theory = jax.tree.map(lambda v: jnp.moveaxis(v, -1, 0), d_theory)
        else:
            theory, d_theory = self._differentiate(cosmo, d_cosmo)
        gaussians = self._gaussians()

        def tangent(d_theory, d_x):
            nuisance, d_nuisance = jax.jvp(self.nuisance, (x,), (d_x,))
            f = lambda theory, nuisance, x: _residuals(self.likelihoods, theory, nuisance, x, *gaussians)
            return jax.jvp(f, (theory, nuisance, x), (d_theory, d_nuisance, d_x))[1]

        columns = jax.vmap(tangent)(d_theory, jnp.eye(x.size))
        return theory, self.residuals(theory, x), columns.T

    def _differentiate(self, cosmo, d_cosmo):
        """Theory at cosmo and its derivatives [n, ...], by the chain rule through the fields of Cosmology."""
        fields = [name for name, value in vars(d_cosmo).items() if eqx.is_array(value) and np.any(np.asarray(value))]
        results, jac = boltzax.jacobian(
            cosmo, fields, of=self.observables, outputs=self.outputs, precision=self.precision
        )

        def chain(*parts):
            terms = []
            for name, part in zip(fields, parts, strict=True):
                d = getattr(d_cosmo, name)  # [..., n]
                scalar = d.ndim == 1
                terms.append(jnp.tensordot(d, part, axes=0) if scalar else jnp.tensordot(d.T, part, axes=1))
            return sum(terms)

        return self.observables(results), jax.tree.map(chain, *(jac[name] for name in fields))


@eqx.filter_jit
def _residuals(likelihoods, theory, nuisance, x, index, mean, sigma):
    parts = [like.residuals(theory, nuisance) for like in likelihoods]
    return jnp.concatenate([*parts, (x[index] - mean) / sigma])
