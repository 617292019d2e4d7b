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
    """One tangent of cosmo for each component of each parameter, stacked."""
    zero, out = jax.tree.map(jnp.zeros_like, cosmo), []
    for field in fields:
        units = jnp.eye(field.value.size).reshape(field.value.size, *field.value.shape)
        out += [eqx.tree_at(field.where, zero, unit) for unit in units]
    return jax.tree.map(lambda *v: jnp.stack(v), *out)


def _differentiate(cosmo, params, of, outputs, precision):
    """Two programs, to the sources and from them: compiled one after the other they need the memory of the larger."""
    # parameters of the primordial spectrum last: nothing before the spectra depends on them
    ordered = tuple(sorted(params, key=lambda name: locate(cosmo, name).primordial))
    stages, d_stages = _early(cosmo, ordered, outputs, precision)
    results, d_values = _late(cosmo, stages, d_stages, ordered, of, outputs, precision)
    derivatives, start = {}, 0
    for name in ordered:
        value = locate(cosmo, name).value
        part = jax.tree.map(lambda v: v[start : start + value.size], d_values)  # noqa: B023
        derivatives[name] = part if value.ndim else jax.tree.map(lambda v: v[0], part)
        start += value.size
    return results, {name: derivatives[name] for name in params}


@partial(jax.jit, static_argnames=("params", "outputs", "precision"))
def _early(cosmo, params, outputs, precision):
    """Everything before the spectra, and its derivatives in every direction."""

    def stages(cosmo):
        bg, th = homogeneous(cosmo)
        return bg, th, perturbed_sources(cosmo, bg, th, outputs, precision)

    with on_error_mode("nan"):
        fields = [locate(cosmo, name) for name in params]
        first = sum(field.value.size for field in fields if not field.primordial)
        return _push(stages, (cosmo,), (_directions(cosmo, fields),), first)


@partial(jax.jit, static_argnames=("params", "of", "outputs", "precision"))
def _late(cosmo, stages, d_stages, params, of, outputs, precision):
    """Results, and the derivatives of what is wanted of them in every direction."""

    def finish(cosmo, stages):
        results = assemble(cosmo, *stages, outputs, precision)
        return results, of(results)

    with on_error_mode("nan"):
        d_cosmo = _directions(cosmo, [locate(cosmo, name) for name in params])
        n = len(jax.tree.leaves(d_cosmo)[0])
        (results, _), d_values = _push(finish, (cosmo, stages), (d_cosmo, d_stages), n, keep=1)
    return results, d_values


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
