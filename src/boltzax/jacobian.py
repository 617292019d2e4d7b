"""Results and their derivatives with respect to chosen parameters, in one pass."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from boltzax.background import background
from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError, on_error_mode, require_x64
from boltzax.fields import locate
from boltzax.notice import first_call
from boltzax.numerics.hidden import restore
from boltzax.precision import Outputs, Precision
from boltzax.results import Results, finite, first_bad
from boltzax.solve import assemble, homogeneous, perturbed_sources
from boltzax.thermo import thermodynamics


def spectra_and_derived(results: Results) -> dict[str, Any]:
    """What `jacobian` differentiates by default: lensed_cl (None without lensing), unlensed_cl, derived."""
    return {name: getattr(results, name) for name in ("lensed_cl", "unlensed_cl", "derived")}


def jacobian(
    cosmo: Cosmology,
    params: Sequence[str],
    of: Callable[[Results], Any] = spectra_and_derived,
    outputs: Outputs = Outputs(),  # noqa: B008
    precision: Precision = Precision(),  # noqa: B008
) -> tuple[Results, dict[str, Any]]:
    """The results of `solve` and the derivative of `of(results)` with respect to the parameters `params` of cosmo.

    A parameter is a field of Cosmology, or a number of one of its species: CLASS's names of isocurvature (f_cdi), the
    fields of fluids (N_idr), of primordial_spectrum and of w_fld.

    All parameters share one solution of the perturbation equations and its factors, so that eight cost a few times one
    value; those of the primordial spectrum need no perturbations of their own. `of` maps Results to any pytree of
    arrays, for instance ``lambda r: r.pk_lin(k, z)``; pass the same function object again to reuse the compiled
    program. Works inside jit.

    Returns the Results and a dict from parameter to a pytree like `of(results)`; each array of it has the shape of the
    value, after an axis of the species for parameters that are vectors (m_ncdm, T_ncdm, deg_ncdm).

    Raises UnknownParameterError for a name that is none of these, MissingParameterError for a field that follows from
    the others, ConflictingParametersError for a name that two species have, and what `solve` raises.
    """
    require_x64()
    restore()
    cosmo = cosmo.checked()
    params = tuple(dict.fromkeys(params))
    for name in params:
        locate(cosmo, name)
    with first_call("jacobian", cosmo, params, of, outputs, precision):
        results, derivatives = _differentiate(cosmo, params, of, outputs, precision)
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(results)):
        _check_finite(cosmo, results, derivatives)
    return results, derivatives


def _check_finite(cosmo, results, derivatives):
    bad = first_bad(results)
    if bad in ("background", "thermodynamics"):
        thermodynamics(cosmo, background(cosmo))  # value by value, where the failing check raises its own exception
    if bad is not None:
        raise BoltzaxError(f"the {bad} stage gave values that are not finite for {cosmo}")
    for name, derivative in derivatives.items():
        if not finite(derivative):
            raise BoltzaxError(f"derivatives with respect to {name} are not finite for {cosmo}")


def _directions(cosmo: Cosmology, fields):
    """One tangent of cosmo for each component of each parameter, stacked, and the number of components of each."""
    zero, out = jax.tree.map(jnp.zeros_like, cosmo), []
    for field in fields:
        units = jnp.eye(field.value.size).reshape(field.value.size, *field.value.shape)
        out += [eqx.tree_at(field.where, zero, unit) for unit in units]
    return jax.tree.map(lambda *v: jnp.stack(v), *out), [field.value.size for field in fields]


@partial(jax.jit, static_argnames=("params", "of", "outputs", "precision"))
def _differentiate(cosmo, params, of, outputs, precision):
    with on_error_mode("nan"):
        # parameters of the primordial spectrum last: nothing before the spectra depends on them
        fields = {name: locate(cosmo, name) for name in params}
        ordered = sorted(params, key=lambda name: fields[name].primordial)
        d_cosmo, sizes = _directions(cosmo, [fields[name] for name in ordered])
        early = sum(n for name, n in zip(ordered, sizes, strict=True) if not fields[name].primordial)
        stages, d_stages = _push(partial(_stages, outputs, precision), (cosmo,), (d_cosmo,), early)
        finish = lambda cosmo, stages: _finish(of, outputs, precision, cosmo, *stages)
        (results, _), d_values = _push(finish, (cosmo, stages), (d_cosmo, d_stages), sum(sizes), keep=1)
    derivatives, start = {}, 0
    for name, size in zip(ordered, sizes, strict=True):
        part = jax.tree.map(lambda v: v[start : start + size], d_values)  # noqa: B023
        scalar = fields[name].value.ndim == 0
        derivatives[name] = jax.tree.map(lambda v: v[0], part) if scalar else part
        start += size
    return results, {name: derivatives[name] for name in params}


def _stages(outputs, precision, cosmo):
    bg, th = homogeneous(cosmo)
    return bg, th, perturbed_sources(cosmo, bg, th, outputs, precision)


def _finish(of, outputs, precision, cosmo, bg, th, src):
    results = assemble(cosmo, bg, th, src, outputs, precision)
    return results, of(results)


def _push(f, primals, tangents, n: int, keep: int | None = None):
    """f(*primals), and its derivatives in the first n of the stacked tangents, zero in the rest.

    keep: the part of the output whose derivatives are wanted.
    """
    total = jax.tree.leaves(tangents)[0].shape[0]
    select = (lambda v: v) if keep is None else (lambda v: v[keep])
    if n == 0:
        out = f(*primals)
        return out, jax.tree.map(lambda v: jnp.zeros((total, *jnp.shape(v))), select(out))

    def one(tangents):
        out, d_out = jax.jvp(f, primals, tangents)
        return out, select(d_out)

    out, d_out = jax.vmap(one, out_axes=(None, 0))(jax.tree.map(lambda v: v[:n], tangents))
    pad = lambda v: jnp.concatenate([v, jnp.zeros((total - n, *v.shape[1:]))]) if total > n else v
    return out, jax.tree.map(pad, d_out)
