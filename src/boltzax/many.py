"""Many cosmologies at once, shared out over the devices of this process and over the processes of a job."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError, ConflictingParametersError, on_error_mode, require_x64
from boltzax.numerics.hidden import restore
from boltzax.progress import Progress
from boltzax.results import finite

_AXIS = "cosmologies"


def map_cosmologies(
    f: Callable[[Cosmology], Any],
    cosmologies: Sequence[Cosmology],
    devices: Sequence[Any] | None = None,
    per_device: int | None = None,
    on_error: str = "raise",
    progress: bool = False,
) -> Any:
    """f of every cosmology, a pytree of NumPy arrays with the cosmologies along a new first axis.

    f: a traceable function such as ``lambda c: boltzax.solve(c).lensed_cl`` or one that takes a Jacobian. The
    cosmologies must have the same structure: the same species, the same parameters given. They are computed in rounds,
    `per_device` at a time (by default 1 on a CPU, where a batch costs as much per cosmology as one alone, and 16
    elsewhere) on each of `devices`, by default all of this process. Under `jax.distributed` every process must make
    the same call; each computes its share and receives everything.

    on_error: "raise", or "nan" to leave NaN in the place of cosmologies that fail.

    Raises BoltzaxError that names the cosmologies that fail, ConflictingParametersError for cosmologies of different
    structure, and for each cosmology what `Cosmology` raises.
    """
    if on_error not in ("raise", "nan"):
        raise ValueError(f"on_error must be 'raise' or 'nan', not '{on_error}'")
    if not cosmologies:
        raise ValueError("no cosmology is given")
    require_x64()
    restore()
    batch = _stack([cosmo.checked() for cosmo in cosmologies])
    mesh = Mesh(np.array(jax.local_devices() if devices is None else devices), (_AXIS,))
    if per_device is None:
        per_device = 1 if mesh.devices[0].platform == "cpu" else 16
    total, share = len(cosmologies), -(-len(cosmologies) // jax.process_count())
    mine = jax.process_index() * share + np.arange(share)
    rows = _rounds(f, batch, np.minimum(mine, total - 1), mesh, per_device * mesh.size, progress)
    if jax.process_count() > 1:
        rows = multihost_utils.process_allgather(rows, tiled=True)
    rows = jax.tree.map(lambda v: np.asarray(v)[:total], rows)
    failed = [i for i in range(total) if not finite(jax.tree.map(lambda v: v[i], rows))]  # noqa: B023
    if failed and on_error == "raise":
        _raise(f, cosmologies, failed)
    return rows


def _stack(cosmologies: list[Cosmology]) -> Cosmology:
    """Cosmologies as one, whose fields have a first axis more."""
    first, *others = (jax.tree.structure(cosmo) for cosmo in cosmologies)
    for i, other in enumerate(others, start=1):
        if other != first:
            raise ConflictingParametersError(
                f"cosmology {i} has other species, or other parameters given, than cosmology 0: map them separately"
            )
    shapes = [tuple(map(np.shape, jax.tree.leaves(cosmo))) for cosmo in cosmologies]
    if len(set(shapes)) > 1:
        i = next(i for i, shape in enumerate(shapes) if shape != shapes[0])
        raise ConflictingParametersError(f"cosmology {i} has another number of species than cosmology 0")
    return jax.tree.map(lambda *leaves: np.stack(leaves), *cosmologies)


def _rounds(f, batch: Cosmology, mine: np.ndarray, mesh: Mesh, size: int, progress: bool) -> Any:
    """f of the cosmologies number `mine`, `size` in each round; the last is filled up with the last cosmology."""
    sharding = NamedSharding(mesh, PartitionSpec(_AXIS))
    found = []
    with Progress("cosmologies", len(mine), enabled=progress) as report:
        for start in range(0, len(mine), size):
            chosen = mine[start : start + size]
            padded = np.pad(chosen, (0, size - len(chosen)), mode="edge")
            rows = _mapped(f, mesh, jax.device_put(jax.tree.map(lambda v: v[padded], batch), sharding))  # noqa: B023
            found.append(jax.tree.map(lambda v: np.asarray(v)[: len(chosen)], rows))  # noqa: B023
            report.step(items=len(chosen))
    return jax.tree.map(lambda *v: np.concatenate(v), *found)


@partial(jax.jit, static_argnames=("f", "mesh"))
def _mapped(f, mesh: Mesh, batch: Cosmology):
    every = jax.vmap(f)
    with on_error_mode("nan"):
        if mesh.size == 1:
            return every(batch)
        spec = PartitionSpec(_AXIS)
        return jax.shard_map(every, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False)(batch)


def _raise(f, cosmologies: Sequence[Cosmology], failed: list[int]) -> None:
    """Raises what the first of the failed cosmologies raises by itself, with the numbers of all."""
    names = ", ".join(map(str, failed[:10])) + (" and more" if len(failed) > 10 else "")
    message = f"{len(failed)} of {len(cosmologies)} cosmologies failed (number {names}); the first: "
    try:
        f(cosmologies[failed[0]])
    except BoltzaxError as error:
        raise BoltzaxError(message + str(error)) from error
    raise BoltzaxError(f"{message}values that are not finite for {cosmologies[failed[0]]}")
