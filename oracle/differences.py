"""Converged finite differences of boltzax and of CLASS, and what they are compared on.

An observable is an array with a weight, the measure of its errors: l(l+1) C_l (phiphi: [l(l+1)]^2 C_l) in bands of 500
multipoles, relative P(k) and H and distances, x_e and the visibility as they stand, derived parameters one by one. The
error of a derivative is the largest weighted difference in a band over the largest weighted derivative there.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

import boltzax
from oracle import reference as ref
from oracle import runs as finished
from oracle.experiment import PARAMETERS, SIGMA, Experiment, cosmology

BAND = 500  # multipoles
LENSED, UNLENSED = ("tt", "te", "ee", "bb", "pp"), ("tt", "te", "ee")
Z_PK = (0.0, 1.0)
Z_BACKGROUND = np.array([0.1, 0.5, 1.0, 3.0, 10.0, 100.0, 1100.0, 1e4])
Z_THERMO = np.array([2.0, 5.0, 7.0, 8.0, 9.0, 12.0, 30.0, 300.0, 800.0, 950.0, 1050.0, 1100.0, 1150.0, 1300.0, 1600.0])
# A derivative that changes its observable by less than this part of it over one SIGMA counts as zero.
NEGLIGIBLE = 1e-7
CLASS_DERIVED = {
    "sigma8": "sigma8",
    "rs_drag": "rs_d",
    "z_drag": "z_d",
    "rs_rec": "rs_rec",
    "z_rec": "z_rec",
    "theta_s_100": "100*theta_s",
    "age": "age",
    "tau_0": "conformal_age",
    "z_reio": "z_reio",
    "YHe": "YHe",
}

# CLASS's fluid of massive neutrinos moves differences by the mass by 2e-2. phiphi changes by 4e-5 over 4 SIGMA of
# tau_reio: CLASS's integral over time for it has steps of a tenth of the distance by default, which begin elsewhere in
# each run. Steps of a twentieth leave 9% of the change at l < 10, of 1/400 less than 1%.
FINE_LENSING: dict[str, Any] = {
    "perturbations_sampling_stepsize": 0.02,
    "l_switch_limber": 40.0,
    "cmb_lensing_sampling_factor": 0.1,
}
FOR_DIFFERENCES: dict[str, dict[str, Any]] = {"m_ncdm": ref.POINT_NCDM, "tau_reio": FINE_LENSING}

Observables = dict[str, Any]


def wavenumbers(k_max: float) -> np.ndarray:
    """Where P(k) is compared [1/Mpc]: 1e-3 to a little below min(k_max, 3)."""
    return np.geomspace(1e-3, 0.9 * min(k_max, 3.0), 60)


@lru_cache
def observer(outputs: boltzax.Outputs) -> Callable[[boltzax.Results], Observables]:
    """The function of Results that returns all observables; one object for each outputs, as jit wants it."""
    k = wavenumbers(outputs.k_max)

    def observe(results):
        found = {f"lensed_{x}": getattr(results.lensed_cl, x) for x in LENSED}
        found |= {f"unlensed_{x}": getattr(results.unlensed_cl, x) for x in UNLENSED}
        found |= {f"pk_z{z:g}": results.pk_lin(k, z) for z in Z_PK}
        found |= {f"derived_{name}": value for name, value in vars(results.derived).items()}
        background, thermo = results.background, results.thermodynamics.at(-np.log1p(Z_THERMO))
        found |= {"background_H": background.hubble(-jnp.log1p(Z_BACKGROUND))}
        found |= {"background_distance": background.comoving_distance(jnp.asarray(Z_BACKGROUND))}
        return found | {"thermodynamics_x_e": thermo.x_e, "thermodynamics_g": thermo.g}

    return observe


def weight(name: str, value: np.ndarray) -> np.ndarray:
    """The weight of an observable's errors, in its shape; zero where it is not compared (l < 2)."""
    value = np.asarray(value)
    if name.startswith(("lensed_", "unlensed_")):
        l = np.arange(value.size)
        power = 2 if name.endswith("pp") else 1
        return np.where(l < 2, 0.0, (l * (l + 1.0)) ** power)
    if name.startswith(("pk_", "background_")):
        return 1.0 / np.abs(value)
    return np.ones_like(value)


def bands(name: str, size: int) -> dict[str, slice]:
    """The parts of an observable in which derivatives are compared, by name."""
    if not name.startswith(("lensed_", "unlensed_")):
        return {"": slice(None)}
    edges = range(0, size - 1, BAND)
    return {f"{max(i, 2)}-{min(i + BAND, size - 1)}": slice(i + 1, min(i + BAND, size - 1) + 1) for i in edges}


class Programs:
    """The compiled programs of one choice of settings, as functions of a vector x of PARAMETERS."""

    def __init__(self, outputs: boltzax.Outputs, precision: boltzax.Precision):
        self.outputs, self.precision, self.of = outputs, precision, observer(outputs)
        self.value = jax.jit(self._observables)
        self.jvp = jax.jit(lambda x, v: jax.jvp(self._observables, (x,), (v,))[1])
        self.vjp = jax.jit(lambda x, cotangent: jax.vjp(self._observables, x)[1](cotangent)[0])
        # gradient and Hessian-vector product, forward over reverse
        self.hvp = jax.jit(lambda x, v, e: jax.jvp(lambda y: jax.grad(self._chi2)(y, e), (x,), (v,)))
        self.lensed = jax.jit(lambda x: self._solve(x).lensed_cl)

    def _solve(self, x):
        return boltzax.solve(cosmology(x), self.outputs, self.precision)

    def _observables(self, x):
        return self.of(self._solve(x))

    def _chi2(self, x, experiment: Experiment):
        return experiment(self._solve(x).lensed_cl)

    def jacobian(self, x: Float[Array, " p"]) -> tuple[Observables, dict[str, Observables]]:
        """Observables and their derivatives {parameter: observables} from `boltzax.jacobian`."""
        results, jac = boltzax.jacobian(
            cosmology(x), params=PARAMETERS, of=self.of, outputs=self.outputs, precision=self.precision
        )
        species = jax.tree.map(lambda leaf: leaf[0], jac["m_ncdm"])
        return jax.jit(self.of)(results), {name: jac[name] for name in PARAMETERS} | {"m_ncdm": species}


def first_step(name: str, value: float, sigmas: float) -> float:
    """The largest step of the differences of a parameter: so many SIGMA, and at most half its value."""
    return min(sigmas * SIGMA[name], 0.5 * value)


def central_differences(f: Callable, x: np.ndarray, direction: np.ndarray, step: float, levels: int) -> list[Any]:
    """Central differences of a pytree-valued f at x along `direction`, with steps halved from level to level."""
    found = []
    for i in range(levels):
        s = step / 2**i
        up, down = f(x + s * direction), f(x - s * direction)
        found.append(jax.tree.map(lambda a, b, s=s: (np.asarray(a) - np.asarray(b)) / (2.0 * s), up, down))
    return found


def one_sided_differences(f: Callable, x: Any, step: float, levels: int) -> list[Any]:
    """Differences of a pytree-valued f of one number beyond x alone, with steps halved from level to level."""
    here = f(x)
    return [
        jax.tree.map(lambda a, b, s=step / 2**i: (np.asarray(a) - np.asarray(b)) / s, f(x + step / 2**i), here)
        for i in range(levels)
    ]


def extrapolate(differences: list[np.ndarray], weights: np.ndarray, parts: Mapping[str, slice], ratio: float = 4.0):
    """Richardson's tableau of differences: derivative [n], and its estimated error in each part.

    ratio: by which each half step lessens their leading error: 4 for central differences, 2 for one-sided ones.

    In each part the entry of the tableau with the smallest estimate is taken, which is the larger weighted change
    from its two parents (Ridders 1982, doi:10.1016/S0141-1195(82)80057-0): small steps lose to round-off, large ones to
    curvature.
    """
    weights = np.atleast_1d(weights)
    previous = np.atleast_1d(differences[0])
    best = {part: (np.inf, previous[where]) for part, where in parts.items()}
    row: list[np.ndarray] = [previous]
    for difference in differences[1:]:
        new = [np.atleast_1d(difference)]
        for m, older in enumerate(row, start=1):
            new.append(new[-1] + (new[-1] - older) / (ratio**m - 1.0))
            change = weights * np.maximum(np.abs(new[m] - new[m - 1]), np.abs(new[m] - older))
            for part, where in parts.items():
                error = np.max(change[where])
                if error < best[part][0]:
                    best[part] = (error, new[m][where])
        row = new
    derivative = np.zeros_like(previous)
    for part, where in parts.items():
        derivative[where] = best[part][1]
    return derivative, {part: error for part, (error, _) in best.items()}


def compare(
    sigma: float, value: Observables, exact: Observables, differences: list[Observables], ratio: float = 4.0
) -> dict[str, dict[str, list[float]]]:
    """{observable: {band: [error, estimated error of the differences]}} of exact derivatives by one parameter.

    sigma: its standard deviation, which decides what is negligible; ratio: see `extrapolate`. Observables that the
    differences lack are left out.
    """
    report = {}
    for name in (n for n in exact if n in differences[0]):
        size = differences[0][name].size
        x, derivative = (np.atleast_1d(np.asarray(tree[name]))[:size] for tree in (value, exact))
        w, parts = np.atleast_1d(weight(name, x)), bands(name, size)
        found, own = extrapolate([d[name] for d in differences], w, parts, ratio)
        report[name] = {}
        for part, where in parts.items():
            floor = NEGLIGIBLE * np.max(np.abs(w * x)[where]) / sigma
            scale = max(np.max(np.abs(w * derivative)[where]), floor)
            error = np.max(np.abs(w * (derivative - found))[where])
            report[name][part] = [float(error / scale), float(own[part] / scale)] if scale else [0.0, 0.0]
    return report


def of_boltzax(programs: Programs, x: np.ndarray, parameter: str, levels: int = 6) -> list[Observables]:
    """Central differences of boltzax by one parameter, from steps of half a SIGMA."""
    i = PARAMETERS.index(parameter)
    return central_differences(programs.value, x, np.eye(x.size)[i], first_step(parameter, x[i], 0.5), levels)


def class_settings(x: np.ndarray, precision: str, parameter: str = "") -> dict[str, Any]:
    """CLASS inputs at a vector of PARAMETERS; precision: "reference" or "variation" (`oracle.reference`).

    Differences by some parameters want settings of their own: `FOR_DIFFERENCES`.
    """
    point = dict(ref.FIDUCIAL) | {"m_ncdm": (float(x[PARAMETERS.index("m_ncdm")]),)}
    return ref.class_settings(point, precision) | FOR_DIFFERENCES.get(parameter, {}) | cosmology(x).to_classy()


def class_observables(settings: Mapping[str, Any], k: np.ndarray) -> Observables:
    """The observables that CLASS gives, under the names of `observer`; from the cache of `oracle.reference`."""

    def compute(_) -> dict[str, np.ndarray]:
        with ref.class_run(settings) as cosmo:
            l_max = settings["l_max_scalars"]
            lensed, raw = cosmo.lensed_cl(l_max), cosmo.raw_cl(l_max)
            found = {f"lensed_{x}": np.array(lensed[x]) for x in LENSED}
            found |= {f"unlensed_{x}": np.array(raw[x]) for x in UNLENSED}
            found |= {f"pk_z{z:g}": np.array([cosmo.pk(ki, z) for ki in k]) for z in Z_PK}
            derived = cosmo.get_current_derived_parameters(list(CLASS_DERIVED.values()))
            found |= {f"derived_{ours}": np.array(derived[theirs]) for ours, theirs in CLASS_DERIVED.items()}
            background = cosmo.get_background()
            order = np.argsort(background["z"])
            z, H = background["z"][order], background["H [1/Mpc]"][order]
            found["background_H"] = np.exp(np.interp(np.log1p(Z_BACKGROUND), np.log1p(z), np.log(H)))
        return found

    return finished.cached("derivative", dict(settings) | {"k": list(map(float, k))}, compute)


def wide_differences(f: Callable, x: np.ndarray, parameter: str, levels: int = 1) -> list[Any]:
    """Central differences of f by one parameter, from steps of two SIGMA: what is compared between codes.

    Steps this large keep CLASS's numerical noise small beside the differences; what they leave of curvature is the same
    on both sides, so they are not extrapolated. A small mass nearly vanishes on one side.
    """
    i = PARAMETERS.index(parameter)
    step = min(2.0 * SIGMA[parameter], 0.9 * x[i])
    return central_differences(f, x, np.eye(x.size)[i], step, levels)


def of_class(
    x: np.ndarray, parameter: str, outputs: boltzax.Outputs, precision: str, levels: int = 1
) -> list[Observables]:
    """`wide_differences` of CLASS; spectra cut at the l_max of `outputs`."""
    k = wavenumbers(outputs.k_max)

    def f(y):
        found = class_observables(class_settings(y, precision, parameter), k)
        spectra = ("lensed_", "unlensed_")
        return {name: v[: outputs.l_max + 1] if name.startswith(spectra) else v for name, v in found.items()}

    return wide_differences(f, x, parameter, levels)
