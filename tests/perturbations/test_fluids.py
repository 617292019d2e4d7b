"""Fluids in the collocation step: the closed form against the equations, and those against conservation laws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tests.perturbations.test_step import random_state

import boltzax
from boltzax.background import background
from boltzax.fluids import CPL, PPF, DecayingDarkMatter, EarlyDarkEnergy, InteractingRadiation, SoundSpeed
from boltzax.numerics.radau import FROM_START, NODES, SLOPE
from boltzax.perturbations import tails
from boltzax.perturbations.equations import Contents, Medium, coefficients, slopes
from boltzax.perturbations.layout import layout
from boltzax.perturbations.step import advance, factor, tangent_forcing
from boltzax.precision import Precision

EARLY = EarlyDarkEnergy(jnp.asarray(0.1), jnp.asarray(3500.0), jnp.asarray(2.7))
RADIATION = InteractingRadiation(jnp.asarray(0.4))
CASES = {
    "ppf": boltzax.Cosmology(m_ncdm=(), w0_fld=-0.9, wa_fld=-0.4),
    "sound speed": boltzax.Cosmology(m_ncdm=(), w0_fld=-0.8, wa_fld=0.1, cs2_fld=0.5, use_ppf="no"),
    "all": boltzax.Cosmology(m_ncdm=(), w0_fld=-1.1, fluids=(EARLY, RADIATION)),
    "decaying": boltzax.Cosmology(m_ncdm=(), omega_cdm=0.07, fluids=(DecayingDarkMatter(20.0, 0.05),)),
}


class Case:
    """A universe with fluids, one step of it and a random state before the step."""

    def __init__(self, cosmo, k, tau, dtau, seed=1):
        self.bg = jax.jit(background)(cosmo)
        self.lay, rng = layout(Precision(), 0), np.random.default_rng(seed)
        ln_a = self.bg.ln_a(jnp.asarray(tau + NODES * dtau))
        a = jnp.exp(ln_a)
        own = tuple({n: v[:, None] for n, v in f.time_functions(self.bg, a).items()} for f in self.bg.fluids)
        values = (a, a * self.bg.hubble(ln_a), 6e-8 * a**-2, 1e-10 / a)
        m = Medium(*(v[:, None] for v in values), own)
        self.c = coefficients(self.lay, Contents.of(self.bg), jnp.full(1, k), jnp.full(1, dtau), m)
        self.z, self.dz = (self.state(k, rng) for _ in range(2))
        self.rng = rng

    def state(self, k, rng):
        z = random_state(self.lay, k, rng)
        return z._replace(fluids=tuple(jnp.asarray(rng.normal(size=(f.size, 1))) for f in self.bg.fluids))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("k", "tau"), [(1e-4, 9000.0), (0.01, 300.0), (1.0, 12000.0), (0.2, 30.0)])
def test_step_solves_the_equations(name, k, tau):
    """SLOPE X - FROM_START z = slopes(X), and the border what the constraints say, for a random state."""
    case = Case(CASES[name], k, tau, 0.1 * tau)

    def residuals(c, z):
        f = factor(case.lay, c)
        x, _ = advance(case.lay, c, f, z)
        drives = case.lay.split(c.gk * x.low[2])
        groups = zip(case.lay.groups, f.tails, z.tails, drives, strict=True)
        nodes = [[tails.at_node(g, r, i, w, drive) for i in range(3)] for g, r, w, drive in groups]
        f3 = [jnp.stack([tails.read_out(g, w) for w in at]) for g, at in zip(case.lay.groups, nodes, strict=True)]
        right = slopes(case.lay, c, x, case.lay.join(f3))
        return x, right

    x, right = jax.jit(residuals)(case.c, case.z)
    close = lambda a, b, scale: np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * np.max(np.abs(scale)))
    for i, start in enumerate(case.z.fluids):
        left = np.einsum("ab,nbl->nal", SLOPE, x.fluids[i]) - FROM_START[:, None] * np.asarray(start)[:, None]
        for n in range(len(left)):
            close(left[n], right.fluids[i][n], np.einsum("ab,bl->al", np.abs(SLOPE), np.abs(x.fluids[i][n])))
    left = np.einsum("ab,nbl->nal", SLOPE, x.fluid) - FROM_START[:, None] * np.asarray(case.z.fluid)[:, None]
    close(left, right.fluid, left)
    for now, constraint in zip(x.border, right.border, strict=True):
        close(now, constraint, np.abs(constraint) + np.abs(np.asarray(x.fluid)).max() * 1e-3)


def test_tangent():
    """The rule of the step against derivatives through the elimination, with fluids."""
    case = Case(CASES["all"], 0.1, 300.0, 8.0)
    lay, c, z, dz, rng = case.lay, case.c, case.z, case.dz, case.rng
    dc = jax.tree.map(lambda v: v * rng.normal(size=v.shape), c)
    dc = dc._replace(gk=jnp.zeros_like(c.gk))  # the free streaming of light is the same in every universe
    plain = lambda c, z: advance(lay, c, factor(lay, c), z)
    (x, _), expected = jax.jit(lambda: jax.jvp(plain, (c, z), (dc, dz)))()
    f = factor(lay, c)
    found = jax.jit(lambda: advance(lay, c, f, dz, tangent_forcing(lay, c, f, z, x)(dc)))()
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.abs(a - b).max() < 1e-9 * np.abs(b).max()


@pytest.mark.parametrize("name", ["ppf", "sound speed", "all"])
def test_background_obeys_the_continuity_equation(name):
    """d rho / d ln a = -3 (rho + P) for every fluid, and for all together."""
    bg = jax.jit(background)(CASES[name])
    a = jnp.geomspace(1e-6, 1.0, 40)
    for species in (*bg.fluids, bg):
        _, slope = jax.jvp(species.rho, (a,), (a,))
        rho = species.rho(a)
        assert np.all(np.abs(slope + 3.0 * (rho + species.pressure(a))) < 1e-12 * rho)


def test_early_dark_energy_has_its_fraction():
    """At z_c the field holds the part fde_zc of the density of everything but Lambda."""
    bg = jax.jit(background)(CASES["all"].replace(w0_fld=-1.0, fluids=(EARLY,)))
    a = 1.0 / 3501.0
    rest = bg.rho(a) - bg.fluids[-1].rho(a)
    assert np.isclose(float(bg.fluids[0].rho(a) / rest), 0.1, rtol=1e-9)


def test_interacting_radiation_counts_as_neutrinos():
    """It adds to N_eff and to the radiation density as massless neutrinos do."""
    with_fluid = jax.jit(background)(boltzax.Cosmology(m_ncdm=(), N_ur=2.644, fluids=(RADIATION,)))
    plain = jax.jit(background)(boltzax.Cosmology(m_ncdm=(), N_ur=3.044))
    assert np.isclose(float(with_fluid.N_eff), 3.044, rtol=1e-12)
    np.testing.assert_allclose(with_fluid.table.values, plain.table.values, rtol=1e-12)


def test_w_as_a_function_is_that_of_cpl():
    """A tabulated w(a) gives the density of the closed form; its derivative flows through a module's parameters."""

    def distance(w0, wa, own):
        cosmo = boltzax.Cosmology(w_fld=CPL(w0, wa)) if own else boltzax.Cosmology(w0_fld=w0, wa_fld=wa)
        return background(cosmo).comoving_distance(jnp.asarray(1.0))

    both = [
        jax.jit(jax.value_and_grad(lambda w, own=own: distance(w[0], w[1], own)))(jnp.array([-0.9, 0.2]))
        for own in (0, 1)
    ]
    np.testing.assert_allclose(both[1][0], both[0][0], rtol=1e-9)
    np.testing.assert_allclose(both[1][1], both[0][1], rtol=1e-7)


def test_models_at_minus_one_are_lambda():
    """PPF and the fluid at w = -1 add nothing to stress-energy; their slopes in w are those of finite differences."""
    for model in (PPF, SoundSpeed):

        def momentum(w, model=model):
            cosmo = boltzax.Cosmology(m_ncdm=(), w0_fld=w, use_ppf="yes" if model is PPF else "no")
            case = Case(cosmo, 1e-3, 9000.0, 500.0)
            x, _ = advance(
                case.lay,
                case.c,
                factor(case.lay, case.c),
                case.z._replace(fluids=tuple(jnp.zeros_like(v) for v in case.z.fluids)),
            )
            return jnp.stack([x.border[0, 2, 0], *x.fluids[0][:, 2, 0]])

        value, slope = jax.jvp(momentum, (jnp.asarray(-1.0),), (jnp.asarray(1.0),))
        step = 1e-4
        difference = (momentum(-1.0 + step) - momentum(-1.0 - step)) / (2.0 * step)
        np.testing.assert_allclose(value[1:], 0.0, atol=1e-18)
        np.testing.assert_allclose(slope, difference, rtol=1e-5)
