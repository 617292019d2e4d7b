"""Sums over wavenumbers of products of transfer functions, multipole by multipole.

The sum over y of products that differ for each multipole is no matrix product: what counts is that operands are read
once, in the order in which they lie in memory. A primitive keeps that order under batches, which become columns.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

_UNROLLED = 16  # rows whose products are added before the sum goes to memory
_cross = Primitive("sum_of_products")


@jax.custom_jvp
def second_moments(weight: Float[Array, " y"], a: Float[Array, "y c l"]) -> Float[Array, "c c l"]:
    """sum_y weight[y] a[y, c, l] a[y, d, l]."""
    return sum_of_products(a, weight[:, None, None] * a)


@second_moments.defjvp
def _second_moments_jvp(primals, tangents):
    weight, a = primals
    half = sum_of_products(tangents[1], weight[:, None, None] * a)
    products = a[:, :, None] * a[:, None]
    slope = half + jnp.swapaxes(half, 0, 1) + jnp.tensordot(tangents[0], products, 1)
    return second_moments(weight, a), slope


def sum_of_products(a, b):
    """sum_y a[y, c, l] b[y, d, l] as [c, d, l], bilinear."""
    return _cross.bind(a, b)


def _evaluate(a, b):
    """[c, d, l] from a [y, c, l] and b [y, d, l], or [p, c, d, l] from a [y, p, c, l] and b [y, p, d, l]."""
    product = lambda x, y: x[..., :, None, :] * y[..., None, :, :]
    if jax.default_backend() != "cpu":
        return jnp.sum(product(a, b), axis=0)
    groups = tuple(jnp.pad(v, ((0, -len(v) % _UNROLLED), *[(0, 0)] * (v.ndim - 1))) for v in (a, b))
    groups = tuple(v.reshape(-1, _UNROLLED, *v.shape[1:]) for v in groups)

    def add(total, rows):
        return total + sum(product(x, y) for x, y in zip(*rows, strict=True)), None

    return lax.scan(add, jnp.zeros((*a.shape[1:-1], *b.shape[-2:]), a.dtype), groups)[0]


def _jvp(primals, tangents):
    a, b = primals
    terms = ((tangents[0], b), (a, tangents[1]))
    slopes = [_cross.bind(*v) for v in terms if not any(isinstance(x, ad.Zero) for x in v)]
    out = _cross.bind(a, b)
    return out, sum(slopes[1:], slopes[0]) if slopes else ad.Zero.from_primal_value(out)


def _transpose(cotangent, a, b):
    linear = a if ad.is_undefined_primal(a) else b
    if isinstance(cotangent, ad.Zero):
        back = ad.Zero(linear.aval)
    elif linear is a:
        back = sum(cotangent[..., d, :] * b[..., d, None, :] for d in range(b.shape[-2]))
    else:
        back = sum(cotangent[..., c, :, :] * a[..., c, None, :] for c in range(a.shape[-2]))
    return (back, None) if linear is a else (None, back)


def _batch(args, dims):
    """A batch of one operand becomes columns of it, a batch of both another leading index p."""
    ndim = [v.ndim - (d is not None) for v, d in zip(args, dims, strict=True)]
    front = lambda v, to: jnp.moveaxis(v, dims[0 if v is args[0] else 1], to)
    if None not in dims:
        a, b = (front(v, 1) for v in args)
        n, inner = a.shape[1], a.shape[2:-2]
        out = _cross.bind(*(v.reshape(len(v), -1, *v.shape[-2:]) for v in (a, b)))
        return out.reshape(n, *inner, *out.shape[1:]), 0
    which = 0 if dims[1] is None else 1
    many = front(args[which], ndim[which] - 2)  # [y, (p,) n, c, l]
    n = many.shape[-3]
    many = many.reshape(*many.shape[:-3], -1, many.shape[-1])
    out = _cross.bind(*((many, args[1]) if which == 0 else (args[0], many)))
    at = out.ndim - 3 + which
    return out.reshape(*out.shape[:at], n, -1, *out.shape[at + 1 :]), at


def _shape(a, b):
    return a.update(shape=(*a.shape[1:-1], *b.shape[-2:]))


_cross.def_impl(jax.jit(_evaluate))
_cross.def_abstract_eval(_shape)
ad.primitive_jvps[_cross] = _jvp
ad.primitive_transposes[_cross] = _transpose
batching.primitive_batchers[_cross] = _batch
mlir.register_lowering(_cross, mlir.lower_fun(_evaluate, multiple_results=False))
