"""NUTS in coordinates whitened by the Fisher matrix; a run can stop after any transition and resume.

In y, with x = x_best + L y and L L^T the inverse Fisher matrix, the posterior is close to a unit Gaussian: the mass
matrix is known and only the step size is left to adapt (Hoffman & Gelman 2014, arXiv:1111.4246).
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.errors import BoltzaxError, ConflictingParametersError, ConvergenceError, MissingDependencyError
from boltzax.inference.chains import Chain, atomic_savez, from_draws
from boltzax.inference.model import DERIVED, derived_values
from boltzax.inference.newton import BestFit
from boltzax.progress import Progress

__all__ = ["ENGINES", "nuts", "with_derived"]

ENGINES = ("numpyro", "blackjax")
_RECORD = ("log_posterior", "acceptance_rate", "n_steps", "diverging", "step_size")


@dataclass(frozen=True)
class _Kernel:
    """start(y, key) -> state and advance(state) -> (state, y, record); a state is a pytree of arrays."""

    start: Callable
    advance: Callable


def nuts(
    best: BestFit,
    draws: int = 250,
    warmup: int = 50,
    chains: int = 1,
    seed: int = 0,
    engine: str = "numpyro",
    checkpoint: str | os.PathLike | None = None,
    every: int = 10,
    target_accept: float = 0.8,
    step_size: float = 0.8,
    max_doublings: int = 6,
    progress: bool = True,
) -> Chain:
    """Draws from the posterior by the No-U-Turn sampler of numpyro or blackjax.

    best: where the chains begin and what whitens them. warmup: transitions that adapt the step size, not kept.
    checkpoint: a folder; a file for each chain is written there every `every` transitions, and the same call resumes
    from it, also towards more draws. Parameters are reflected at lower bounds, so that the sampler sees no wall there.

    The chain holds the sampled parameters; `with_derived` adds the derived ones. Raises MissingDependencyError without
    the engine, ConflictingParametersError for a checkpoint of another run, ConvergenceError if the posterior cannot be
    evaluated where a chain begins.
    """
    if engine not in ENGINES:
        raise ValueError(f"unknown engine '{engine}': choose one of {', '.join(ENGINES)}")
    transform, density = _whitened(best)
    kernel = {"numpyro": _numpyro, "blackjax": _blackjax}[engine](
        density, warmup, target_accept, step_size, max_doublings
    )
    about = {"engine": engine, "warmup": warmup, "seed": seed, "x": best.x.tolist(), "fisher": best.fisher.tolist()}
    folder = None if checkpoint is None else Path(checkpoint)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    ys, records = [], []
    for i in range(chains):
        path = None if folder is None else folder / f"nuts_{engine}_{i + 1}.npz"
        y, record = _run(kernel, best.x.size, warmup + draws, (seed, i), path, every, about, progress, i)
        ys.append(y[warmup:])
        records.append({name: value[warmup:] for name, value in record.items()})
    x = np.asarray(jax.vmap(jax.vmap(transform))(jnp.asarray(np.stack(ys))))
    info = {name: np.stack([r[name] for r in records]) for name in _RECORD}
    bounds = dict(zip(best.model.names, map(tuple, best.model.bounds.tolist()), strict=True))
    return from_draws(
        best.model.names, x, {}, info.pop("log_posterior"), info=info, bounds=bounds, name=f"NUTS ({engine})"
    )


def _whitened(best: BestFit) -> tuple[Callable, Callable]:
    """y -> x with reflection at lower bounds, and ln posterior of y."""
    lower = jnp.linalg.cholesky(jnp.asarray(best.covariance))
    centre = jnp.asarray(best.x)
    low = best.model.bounds[:, 0]
    edge = np.where(np.isfinite(low), low, 0.0)

    def transform(y):
        x = centre + lower @ y
        return jnp.where(np.isfinite(low), edge + jnp.abs(x - edge), x)

    return transform, lambda y: best.model.log_posterior(transform(y))


def _run(
    kernel: _Kernel, n: int, total: int, seed: tuple[int, int], path, every: int, about: dict, progress: bool, i: int
):
    """All y [total, n] and records of one chain, from its checkpoint on."""
    key = jax.random.fold_in(jax.random.PRNGKey(seed[0]), seed[1])
    first = 0.5 * np.random.default_rng(seed).standard_normal(n)
    y, record = np.zeros((total, n)), {name: np.zeros(total) for name in _RECORD}
    with Progress(f"NUTS, chain {i + 1} (the first transition compiles)", total, 0, progress) as report:
        state = kernel.start(jnp.asarray(first), key)
        done, state = _resume(path, about, y, record, state)
        report.done = report.first = done
        for t in range(done, total):
            state, position, row = kernel.advance(state)
            y[t] = position
            for name, value in zip(_RECORD, row, strict=True):
                record[name][t] = value
            if t == 0 and not np.isfinite(record["log_posterior"][0]):
                raise ConvergenceError("the posterior cannot be evaluated where the chain begins")
            if path is not None and ((t + 1) % every == 0 or t + 1 == total):
                leaves = {f"state_{j}": np.asarray(leaf) for j, leaf in enumerate(jax.tree.leaves(state))}
                part = {name: value[: t + 1] for name, value in record.items()}
                atomic_savez(path, y=y[: t + 1], about=json.dumps(about), **part, **leaves)
            report.step(f"{int(record['n_steps'][: t + 1].sum())} gradients, step {record['step_size'][t]:.2f}")
    return y, record


def _resume(path: Path | None, about: dict, y: np.ndarray, record: dict[str, np.ndarray], state: Any):
    """Fills y and record from a checkpoint; returns the number of transitions in it and the state after them."""
    if path is None or not path.exists():
        return 0, state
    with np.load(path) as file:
        saved = {name: file[name] for name in file.files}
    if json.loads(str(saved["about"])) != about:
        raise ConflictingParametersError(f"'{path}' belongs to another run: remove it, or name another folder")
    done = len(saved["y"])
    if done > len(y):
        raise ConflictingParametersError(f"'{path}' holds {done} transitions, more than the {len(y)} asked for")
    y[:done] = saved["y"]
    for name in _RECORD:
        record[name][:done] = saved[name]
    leaves = [jnp.asarray(saved[f"state_{j}"], leaf.dtype) for j, leaf in enumerate(jax.tree.leaves(state))]
    return done, jax.tree.unflatten(jax.tree.structure(state), leaves)


def _numpyro(density, warmup, target_accept, step_size, max_doublings) -> _Kernel:
    try:
        from numpyro.infer.hmc import hmc
    except ImportError as error:
        raise MissingDependencyError.from_package("numpyro", "inference", "engine 'numpyro'") from error
    start, sample = hmc(potential_fn=lambda y: -density(y), algo="NUTS")

    def begin(y, key):
        return start(
            y,
            num_warmup=warmup,
            step_size=step_size,
            inverse_mass_matrix=jnp.ones(y.size),
            adapt_mass_matrix=False,
            target_accept_prob=target_accept,
            max_tree_depth=max_doublings,
            rng_key=key,
        )

    @jax.jit
    def advance(state):
        new = sample(state)
        return (
            new,
            new.z,
            (-new.potential_energy, new.accept_prob, new.num_steps, new.diverging, state.adapt_state.step_size),
        )

    return _Kernel(begin, advance)


def _blackjax(density, warmup, target_accept, step_size, max_doublings) -> _Kernel:
    try:
        import blackjax
        from blackjax.adaptation.step_size import dual_averaging_adaptation
    except ImportError as error:
        raise MissingDependencyError.from_package("blackjax", "inference", "engine 'blackjax'") from error
    kernel = blackjax.nuts.build_kernel()
    start, update, final = dual_averaging_adaptation(target_accept)
    first = jax.jit(lambda y: blackjax.nuts.init(y, density))

    def begin(y, key):
        state = first(y), start(step_size), key, jnp.zeros((), int)
        return jax.tree.map(jnp.asarray, state)

    @jax.jit
    def advance(state):
        point, adaptation, key, t = state
        key, draw = jax.random.split(key)
        step = jnp.where(t < warmup, jnp.exp(adaptation.log_step_size), final(adaptation))
        point, info = kernel(draw, point, density, step, jnp.ones(point.position.size), max_doublings)
        moved = update(adaptation, info.acceptance_rate)
        adaptation = jax.tree.map(lambda new, old: jnp.where(t < warmup, new, old), moved, adaptation)
        row = (point.logdensity, info.acceptance_rate, info.num_integration_steps, info.is_divergent, step)
        return (point, adaptation, key, t + 1), point.position, row

    return _Kernel(begin, advance)


def with_derived(best: BestFit, chain: Chain, progress: bool = True) -> Chain:
    """The chain with derived parameters, for which the theory is solved once more at every draw."""
    x = np.stack([chain.samples[name] for name in best.model.names], axis=-1)
    rows = np.full((*x.shape[:2], len(DERIVED)), np.nan)
    with Progress("derived parameters", x.shape[0] * x.shape[1], enabled=progress) as report:
        for index in np.ndindex(*x.shape[:2]):
            try:
                rows[index] = [float(v) for v in derived_values(best.model.theory(x[index]).derived).values()]
            except BoltzaxError:
                pass  # stays NaN
            report.step()
    derived = dict(zip(DERIVED, np.moveaxis(rows, -1, 0), strict=True))
    others = {"info": chain.info, "bounds": chain.bounds, "name": chain.name, "weights": chain.weights}
    return from_draws(best.model.names, x, derived, chain.log_posterior, **others)
