"""The pipeline: one traceable function from a Cosmology to Results."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.background import Background, background
from boltzax.cosmology import Cosmology
from boltzax.errors import (
    BoltzaxError,
    NotImplementedParameterError,
    default_mode,
    is_traced,
    on_error_mode,
    require_x64,
)
from boltzax.grids import make_grid
from boltzax.notice import Waiting, first_call
from boltzax.numerics.hidden import hidden, restore
from boltzax.numerics.table import UniformTable
from boltzax.perturbations.integrate import integrate
from boltzax.perturbations.layout import layout
from boltzax.precision import Outputs, Precision
from boltzax.projection import angular_spectra, curved, every_ell, limber_lensing
from boltzax.projection.tensors import tensor_sources, tensor_spectra
from boltzax.results import Results, derived, finite, first_bad
from boltzax.sources import Sources, sources, step_fields
from boltzax.spectra.angular import AngularSpectra
from boltzax.spectra.lensing import lens, lensing_tables
from boltzax.spectra.matter import matter_power
from boltzax.spectra.nonlinear import lensing_factor
from boltzax.spectra.primordial import mixture, tensor_power
from boltzax.thermo import Thermodynamics, thermodynamics

_LN_X_START, _N_HISTORY = -18.5, 4401  # table of the history over ln(tau/tau_0)


def solve(cosmo: Cosmology, outputs: Outputs = Outputs(), precision: Precision = Precision()) -> Results:  # noqa: B008
    """CMB and matter power spectra of a cosmology.

    One traceable function: `jax.jit(solve)`, `jax.vmap` over cosmologies, forward and reverse derivatives of every
    array of the result with respect to every field of `cosmo`. outputs and precision are static. Called outside any
    transformation it compiles itself once for each structure of its arguments.

    Raises ParameterRangeError for unphysical parameters, before the perturbations are compiled or run, and
    BoltzaxError, naming the stage, if a stage fails; inside a transformation such errors surface when the program runs
    (see `boltzax.errors.error_if`).
    """
    require_x64()
    restore()
    if is_traced(cosmo):
        return _traced(cosmo.checked(), outputs, precision, default_mode())
    with first_call("solve", cosmo, outputs, precision) as waiting:
        return _concrete(cosmo.checked(), outputs, precision, waiting)


def _concrete(cosmo, outputs, precision, waiting: Waiting):
    """The pipeline as two programs, so that an unphysical cosmology raises before the long one."""
    bg, th = _homogeneous(cosmo)
    if is_traced((bg, th)):  # a constant cosmology inside somebody's traced function
        waiting.over()
        return inhomogeneous(cosmo, bg, th, outputs, precision)
    if not finite((bg, th)):
        thermodynamics(cosmo, background(cosmo))  # value by value, where the failing check raises its own exception
        raise BoltzaxError(f"background or thermodynamics gave values that are not finite for {cosmo}")
    results = inhomogeneous(cosmo, bg, th, outputs, precision)
    bad = first_bad(results)
    if bad is not None:
        raise BoltzaxError(f"the {bad} stage gave values that are not finite for {cosmo}")
    return results


@partial(jax.jit, static_argnames=("outputs", "precision", "mode"))
def _traced(cosmo, outputs, precision, mode):
    with on_error_mode(mode):
        return _pipeline(cosmo, *homogeneous(cosmo), outputs, precision)


def homogeneous(cosmo) -> tuple[Background, Thermodynamics]:
    """Background and thermodynamics."""
    bg = background(cosmo)
    return bg, thermodynamics(cosmo, bg)


@jax.jit
def _homogeneous(cosmo):
    with on_error_mode("nan"):
        return homogeneous(cosmo)


@partial(jax.jit, static_argnames=("outputs", "precision"))
def inhomogeneous(cosmo, bg: Background, th: Thermodynamics, outputs: Outputs, precision: Precision) -> Results:
    """All that follows the thermal history, compiled; what fails is NaN."""
    with on_error_mode("nan"):
        return _pipeline(cosmo, bg, th, outputs, precision)


def _pipeline(cosmo, bg, th, outputs: Outputs, p: Precision) -> Results:
    return assemble(cosmo, bg, th, perturbed_sources(cosmo, bg, th, outputs, p), outputs, p)


def assemble(cosmo, bg: Background, th: Thermodynamics, src: Sources, outputs: Outputs, p: Precision) -> Results:
    """Spectra and derived parameters from the sources, and all of it as Results.

    With nonlinear corrections the potentials that lens are larger than those of the linear sources in Results.
    """
    grid = make_grid(p, outputs)
    matter = matter_power(grid, bg, src)
    lensing = src
    if outputs.nonlinear is not None:
        others = {"isocurvature": cosmo.isocurvature} | {type(fluid).__name__: fluid.alone for fluid in cosmo.fluids}
        for name, given in others.items():
            if given:
                message = f"nonlinear corrections and {name} cannot be combined: ask with nonlinear=None"
                raise NotImplementedParameterError(message)
        factor = lensing_factor(outputs.nonlinear, grid, matter, bg, cosmo)
        lensing = replace(src, weyl=src.weyl * factor)
    tensors = None if cosmo.r is None else tensor_spectra(p, bg.tau_0, src.tensors, partial(tensor_power, cosmo))
    unlensed, lensed = spectra(cosmo, bg, th, lensing, outputs, p, tensors)
    return Results(
        lensed,
        unlensed,
        _angular(tensors, outputs, cosmo.T_cmb),
        bg,
        th,
        src,
        matter,
        derived(cosmo, bg, th, matter),
        cosmo,
        nonlinear=outputs.nonlinear,
    )


def history(bg: Background, th: Thermodynamics) -> UniformTable:
    """What perturbation equations read, over ln(tau/tau_0): ln a, ln aH, ln kappa', a c_b^2, functions of fluids."""
    ln_x = np.linspace(_LN_X_START, 0.0, _N_HISTORY)
    ln_a = bg.ln_a(jnp.exp(ln_x) * bg.tau_0)
    state = th.at(ln_a)
    fields = [ln_a, ln_a + jnp.log(bg.hubble(ln_a)), jnp.log(state.kappa_prime), state.cb2 * jnp.exp(ln_a)]
    for fluid in bg.fluids:
        functions = fluid.time_functions(bg, jnp.exp(ln_a))
        fields += [functions[name] for name in fluid.functions]
    return UniformTable(jnp.asarray(ln_x[0]), jnp.asarray(ln_x[1] - ln_x[0]), jnp.stack(fields, axis=-1))


def perturbed_sources(cosmo, bg: Background, th: Thermodynamics, outputs: Outputs, p: Precision) -> Sources:
    """Perturbations and sources of every mode."""
    grid = make_grid(p, outputs)
    lay = layout(p, cosmo.m_ncdm.shape[0], curved=cosmo.Omega_k is not None)
    table = history(bg, th)
    tensors = None if cosmo.r is None else tensor_sources(p, bg, th, table)
    if not cosmo.isocurvature:
        trajectory = integrate(lay, bg, table, grid.plan, p.block)
        return sources(grid, bg, th, step_fields(bg, table, grid.plan, trajectory), tensors)
    modes = ("ad", *(mode.kind for mode in cosmo.isocurvature))
    trajectories = integrate(lay, bg, table, grid.plan, p.block, modes)
    every = jax.vmap(lambda out: sources(grid, bg, th, step_fields(bg, table, grid.plan, out)))(trajectories)
    adiabatic, *others = (jax.tree.map(lambda v: v[i], every) for i in range(len(modes)))  # noqa: B023
    return replace(adiabatic, isocurvature=tuple(others), tensors=tensors)


def spectra(cosmo, bg, th, src: Sources, outputs: Outputs, p: Precision, tensors=None):
    """Unlensed and lensed angular spectra, those of tensor modes included."""
    grid = make_grid(p, outputs)
    total = lambda f: jax.tree.map(lambda *v: sum(v), *(f(*part) for part in mixture(cosmo, src)))
    integrals = angular_spectra if bg.K is None else curved.angular_spectra
    cl = total(lambda s, power: integrals(grid, p, bg, th, s, power))
    limber = total(lambda s, power: limber_lensing(grid, p, outputs, bg, th, s, power))
    blend = 0.5 * (1.0 + np.tanh((grid.ell - p.l_limber) / (0.15 * p.l_limber)))
    cl["pp"] = (1.0 - blend) * cl["pp"] + blend * limber[: len(grid.ell)]
    factors = {"pp": cosmo.A_lens, "tp": jnp.sqrt(cosmo.A_lens), "ep": jnp.sqrt(cosmo.A_lens)}
    cl |= {name: factor * cl[name] for name, factor in factors.items()}
    limber = cosmo.A_lens * limber
    pp = every_ell(grid.ell_lensing, jnp.concatenate([cl["pp"], limber[len(grid.ell) :]]))
    cl = {name: every_ell(grid.ell, value) for name, value in cl.items()}
    bb = None
    if tensors is not None:
        waves = {name: _fitted(value, len(cl["tt"])) for name, value in tensors.items()}
        bb = waves["bb"]
        cl |= {name: cl[name] + waves[name] for name in ("tt", "te", "ee")}
    ell = jnp.arange(outputs.l_max + 1.0)
    cut = {name: value[: outputs.l_max + 1] for name, value in cl.items()}
    raw_bb = jnp.zeros_like(ell) if bb is None else bb[: outputs.l_max + 1]
    unlensed = AngularSpectra(ell=ell, bb=raw_bb, T_cmb=cosmo.T_cmb, **cut)
    if not outputs.lensing:
        return unlensed, None
    tables = jax.tree.map(hidden, lensing_tables(outputs.l_max, len(cl["tt"]) - 1, len(pp) - 1))
    out = lens(cl["tt"], cl["te"], cl["ee"], pp, bb, l_max=outputs.l_max, tables=tables)
    lensed = AngularSpectra(ell, out.tt, out.te, out.ee, out.bb, cut["pp"], cut["tp"], cut["ep"], cosmo.T_cmb)
    return unlensed, lensed


def _fitted(spectrum, n: int):
    """A spectrum continued by zeros, or cut, to l = 0..n-1."""
    return jnp.pad(spectrum, (0, max(n - len(spectrum), 0)))[:n]


def _angular(tensors, outputs: Outputs, T_cmb) -> AngularSpectra | None:
    """Spectra of tensor modes as they are returned."""
    if tensors is None:
        return None
    ell = jnp.arange(outputs.l_max + 1.0)
    tt, te, ee, bb = (_fitted(tensors[name], len(ell)) for name in ("tt", "te", "ee", "bb"))
    zero = jnp.zeros_like(ell)
    return AngularSpectra(ell, tt, te, ee, bb, zero, zero, zero, T_cmb)
