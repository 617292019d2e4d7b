"""The linear map from sources at the solved modes to line-of-sight integrals of one block, and its transpose.

    out[y, c, l] = scale[y, c] sum_n table[y, n, l] sum_m weights[y, m] sum_x onto[x, n] columns[m, c, x]

The table is constant, in single precision, far larger than a processor's caches, and read from memory once. Its
entries become doubles in pieces that stay in the cache, so that double precision costs what single precision would and
no copy of the table exists, not even as a residual of reverse mode: that is why the map is a primitive of its own.
Being linear, it is its own derivative; a batch, of tangents or of cosmologies, only adds columns.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from boltzax.projection.layout import Rectangle


class Constants(NamedTuple):
    """What the map is made of.

    scale [y, 3] of three kinds of columns that alternate; weights [y, modes]; onto: for each rectangle [x, n], or None
    where its nodes are the time nodes; table: float32 [pieces, entries], for each piece the rectangles one after the
    other, each [y of the piece, n, ell].
    """

    scale: jax.Array
    weights: jax.Array
    onto: tuple[jax.Array | None, ...]
    table: jax.Array


class Layout(NamedTuple):
    """Static and hashable: numbers of time nodes and multipoles, the rectangles, the tree of the constants."""

    n_x: int
    n_ell: int
    rectangles: tuple[Rectangle, ...]
    tree: jax.tree_util.PyTreeDef


_project = Primitive("project_sources")
_project_back = Primitive("project_sources_back")


def project(
    rectangles: tuple[Rectangle, ...], n_ell: int, columns: Float[Array, "modes c x"], constants: Constants
) -> Float[Array, "y c ell"]:
    """Line-of-sight integrals of `columns`, any number of sources at the solved modes and time nodes.

    The constants are that: derivatives with respect to them are taken as zero.
    """
    leaves, tree = jax.tree.flatten(constants)
    return _project.bind(columns, *leaves, layout=Layout(columns.shape[-1], n_ell, rectangles, tree))


def _pieces(constants: Constants, columns: int):
    """Table, weights and scale by pieces; a batch repeats the scale."""
    split = lambda v: v.reshape(len(constants.table), -1, *v.shape[1:])
    scale = jnp.tile(constants.scale, (1, columns // constants.scale.shape[1]))[..., None]
    return constants.table, split(constants.weights), split(scale)


def _tables(entries, rows: int, rectangles, dtype):
    """The rectangles [rows, n, ell] of a piece."""
    ends = np.cumsum([rows * r.area for r in rectangles])
    parts = zip(rectangles, [0, *ends[:-1]], ends, strict=True)
    return [entries[i:j].astype(dtype).reshape(rows, r.nodes, r.high - r.low) for r, i, j in parts]


def _forward(columns, *leaves, layout):
    constants = jax.tree.unflatten(layout.tree, leaves)
    sources = [columns[..., r.first : r.stop] for r in layout.rectangles]
    sources = [v if m is None else v @ m for v, m in zip(sources, constants.onto, strict=True)]

    def piece(args):
        entries, weights, scale = args
        tables = _tables(entries, len(weights), layout.rectangles, columns.dtype)
        total = jnp.zeros((len(weights), columns.shape[1], layout.n_ell), columns.dtype)
        for r, table, source in zip(layout.rectangles, tables, sources, strict=True):
            part = jnp.einsum("ynl,ycn->ycl", table, jnp.tensordot(weights, source, 1))
            total += jnp.pad(part, ((0, 0), (0, 0), (r.low, layout.n_ell - r.high)))
        return scale * total

    given = _pieces(constants, columns.shape[1])
    out = lax.map(piece, given) if _loops() else jax.vmap(piece)(given)
    return out.reshape(-1, *out.shape[2:])


def _backward(integrals, *leaves, layout):
    constants = jax.tree.unflatten(layout.tree, leaves)
    n_columns = integrals.shape[1]

    def piece(args):
        (entries, weights, scale), v = args
        tables = _tables(entries, len(weights), layout.rectangles, v.dtype)
        parts = [v[..., r.low : r.high] * scale for r in layout.rectangles]
        fine = [jnp.einsum("ynl,ycl->ycn", table, part) for table, part in zip(tables, parts, strict=True)]
        return [jnp.tensordot(weights, f, (0, 0)) for f in fine]

    given = _pieces(constants, n_columns), integrals.reshape(len(constants.table), -1, *integrals.shape[1:])
    if _loops():
        add = lambda total, args: ([a + b for a, b in zip(total, piece(args), strict=True)], None)
        n_modes = constants.weights.shape[1]
        zero = [jnp.zeros((n_modes, n_columns, r.nodes), integrals.dtype) for r in layout.rectangles]
        sums = lax.scan(add, zero, given)[0]
    else:
        sums = [v.sum(0) for v in jax.vmap(piece)(given)]
    gap = lambda n: jnp.zeros((*sums[0].shape[:2], n), integrals.dtype)
    out, last = [], 0
    for r, m, v in zip(layout.rectangles, constants.onto, sums, strict=True):
        out += [gap(r.first - last), v if m is None else v @ m.T]
        last = r.stop
    return jnp.concatenate([*out, gap(layout.n_x - last)], axis=-1)


def _loops() -> bool:
    """Whether to take one piece after the other; on a GPU a loop of small kernels would wait for their launches."""
    return jax.default_backend() == "cpu"


def _register(primitive, evaluate, transposed, shape):
    def jvp(primals, tangents, *, layout):
        out = primitive.bind(*primals, layout=layout)
        if isinstance(tangents[0], ad.Zero):
            return out, ad.Zero.from_primal_value(out)
        return out, primitive.bind(tangents[0], *primals[1:], layout=layout)

    def transpose(cotangent, operand, *constants, layout):
        if isinstance(cotangent, ad.Zero):
            return ad.Zero(operand.aval), *(None for _ in constants)
        return transposed.bind(cotangent, *constants, layout=layout), *(None for _ in constants)

    def batch(args, dims, *, layout):
        if any(d is not None for d in dims[1:]):
            raise NotImplementedError("the tables of the line of sight are constants and have no batch")
        operand = jnp.moveaxis(args[0], dims[0], 1)
        flat = operand.reshape(operand.shape[0], -1, operand.shape[-1])
        out = primitive.bind(flat, *args[1:], layout=layout)
        return out.reshape(out.shape[0], *operand.shape[1:3], out.shape[-1]), 1

    def abstract(operand, *constants, layout):
        weights = jax.tree.unflatten(layout.tree, constants).weights
        return operand.update(shape=shape(operand, weights, layout))

    primitive.def_impl(jax.jit(evaluate, static_argnames="layout"))
    primitive.def_abstract_eval(abstract)
    ad.primitive_jvps[primitive] = jvp
    ad.primitive_transposes[primitive] = transpose
    batching.primitive_batchers[primitive] = batch
    mlir.register_lowering(primitive, mlir.lower_fun(evaluate, multiple_results=False))


_register(_project, _forward, _project_back, lambda v, w, layout: (w.shape[0], v.shape[1], layout.n_ell))
_register(_project_back, _backward, _project, lambda v, w, layout: (w.shape[1], v.shape[1], layout.n_x))
