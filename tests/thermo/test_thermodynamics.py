"""Derivatives, smoothness, limits and errors of the thermodynamics stage."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax
from boltzax.background import background
from boltzax.errors import ParameterRangeError
from boltzax.thermo import reionization, thermodynamics
from boltzax.thermo.bbn import helium_fraction
from boltzax.thermo.collocation import linear_step, mesh_nodes, newton_step, on_half_steps

PARAMETERS = {"omega_b": 0.02237, "h": 0.6736, "YHe": 0.2454, "tau_reio": 0.0544}
P = jnp.array(list(PARAMETERS.values()))
LN_A = jnp.linspace(-8.2, -0.05, 300)


def run(**kw):
    """The fiducial cosmology with some parameters changed; None takes one out."""
    settings = dict(PARAMETERS, omega_cdm=0.12, m_ncdm=(0.06,), N_ur=2.0328, T_ncdm=0.71611) | kw
    return boltzax.Cosmology(**{k: v for k, v in settings.items() if v is not None})


def outputs(thermo):
    """ln kappa', g over its maximum at LN_A; z_reio, rs_d, z_rec, theta_s."""
    state = thermo.at(LN_A)
    scalars = jnp.stack([thermo.z_reio, thermo.rs_d, thermo.z_rec, thermo.theta_s_100])
    return jnp.concatenate([jnp.log(state.kappa_prime), state.g / 0.021, scalars])


def of_parameters(p):
    cosmo = run(**dict(zip(PARAMETERS, p, strict=True)))
    return outputs(thermodynamics(cosmo, background(cosmo)))


@pytest.fixture(scope="module")
def value(history):
    read = jax.jit(outputs)
    return lambda p: np.asarray(read(history(run(**dict(zip(PARAMETERS, p, strict=True))))))


@pytest.fixture(scope="module")
def jacobian():
    return np.asarray(jax.jit(jax.jacfwd(of_parameters))(P))


def test_jvp_against_differences(value, jacobian):
    n, centre = LN_A.size, value(P)
    for i in range(len(P)):
        e = 2e-3 * P[i] * jnp.zeros(len(P)).at[i].set(1.0)
        near, far = value(P + e) - value(P - e), value(P + 2 * e) - value(P - 2 * e)
        error = np.abs((8.0 * near - far) / (12.0 * e[i]) - jacobian[:, i])
        for part in (slice(0, n), slice(n, 2 * n)):
            assert error[part].max() < 1e-7 * np.abs(jacobian[part, i]).max()
        scale = np.abs(jacobian[2 * n :, i]) + 1e-4 * np.abs(centre[2 * n :] / float(P[i]))
        assert np.all(error[2 * n :] < 1e-7 * scale)


def test_vjp_against_jvp(jacobian):
    weight = np.random.default_rng(1).normal(size=jacobian.shape[0])
    gradient = jax.jit(jax.grad(lambda p: of_parameters(p) @ weight))(P)
    np.testing.assert_allclose(gradient, weight @ jacobian, rtol=1e-11)


def test_smooth_in_parameters(value):
    """Along a line, a polynomial of degree six leaves nothing but round-off."""
    t = np.linspace(-1.0, 1.0, 15)
    for i in (0, 2):
        rows = np.array([value(P.at[i].multiply(1.0 + 2e-3 * s)) for s in t])
        fit = np.polynomial.chebyshev.chebfit(t, rows, 6)
        assert np.abs(rows - np.polynomial.chebyshev.chebval(t, fit).T).max() < 6e-11


def test_batch_equals_single(value):
    batch = P * (1.0 + 0.05 * jnp.asarray(np.random.default_rng(2).uniform(-1.0, 1.0, (3, len(P)))))
    together = jax.jit(jax.vmap(of_parameters))(batch)
    np.testing.assert_allclose(together, np.stack([value(p) for p in batch]), rtol=1e-8, atol=1e-9)


def test_before_the_table(compared):
    thermo = compared("fiducial")[0]
    x0 = float(thermo.table.x0)
    edge, before = thermo.at(x0 + 1e-9), thermo.at(x0 - 1e-9)
    for name in ("x_e", "T_b", "kappa_prime", "dkappa_prime_dlna", "cb2", "kappa"):
        np.testing.assert_allclose(getattr(before, name), getattr(edge, name), rtol=1e-7, err_msg=name)
    early = thermo.at(-18.0)
    np.testing.assert_allclose(early.x_e, 1.0 + 2.0 * thermo.f_He, rtol=1e-8)
    np.testing.assert_allclose(early.T_b, 2.7255 * np.exp(18.0), rtol=1e-9)
    assert np.all(np.isfinite(np.array(early)))


def test_state_is_consistent(compared):
    """g = -d e^-kappa / d tau and the derivatives, against differences of the look-up itself."""
    ours = compared("fiducial")[0]
    x, e = jnp.linspace(-7.4, -0.5, 200), 1e-4
    state, up, down = ours.at(x), ours.at(x + e), ours.at(x - e)
    slope = (up.kappa_prime - down.kappa_prime) / (2.0 * e)
    np.testing.assert_allclose(state.dkappa_prime_dlna, slope, atol=2e-5 * np.abs(state.kappa_prime).max(), rtol=2e-5)
    aH = jnp.exp(ours.table(x)[:, 6])
    for value, derivative in ((up.exp_m_kappa - down.exp_m_kappa, state.g), (up.g - down.g, state.g_prime)):
        np.testing.assert_allclose(aH * value / (2.0 * e), derivative, atol=3e-5 * np.abs(derivative).max())


@pytest.mark.parametrize("tau_reio, word", [(0.0005, "below"), (0.9, "before z = 50")])
def test_unreachable_optical_depth(tau_reio, word):
    x = jnp.linspace(-4.0, 0.0, 1001)
    late = reionization.late_history(x, 2.4e-4 * jnp.exp(-0.1 * x), 0.0022 * jnp.exp(-1.5 * x))
    model = reionization.Reionization(*(jnp.asarray(v) for v in (0.0, 1.5, 0.5, 3.5, 0.5, 0.08)))
    with pytest.raises(ParameterRangeError, match=word):
        reionization.find_redshift(model, late, jnp.asarray(tau_reio))


def test_unreachable_optical_depth_in_a_program(history):
    """With `on_error_mode("nan")` the check shows as NaN."""
    assert np.isnan(float(history(run(tau_reio=0.001)).z_reio))
    assert np.isnan(float(history(run(tau_reio=0.9)).z_reio))
    assert np.isfinite(float(history(run(tau_reio=0.03)).z_reio))


def test_optical_depth_and_redshift_are_inverse(history):
    by_tau = history(run(tau_reio=0.07))
    by_z = history(run(tau_reio=None, z_reio=float(by_tau.z_reio)))
    np.testing.assert_allclose(by_z.tau_reio, 0.07, rtol=1e-11)


def test_nucleosynthesis_surface():
    """Against rows of the table itself: omega_b, Delta N, YHe."""
    from importlib.resources import files

    with np.load(files("boltzax") / "data" / "bbn_parthenope.npz") as data:
        omega_b, dN, table = data["omega_b"], data["Delta_N_eff"], data["YHe"]
    ours = jax.vmap(jax.vmap(helium_fraction, (0, None)), (None, 0))(jnp.asarray(omega_b), jnp.asarray(dN) + 3.046)
    assert np.abs(ours - table).max() < 1.2e-5 and np.std(ours - table) < 2.5e-6
    with pytest.raises(ParameterRangeError, match="omega_b"):
        helium_fraction(jnp.asarray(0.05), jnp.asarray(3.044))
    with pytest.raises(ParameterRangeError, match="N_eff"):
        helium_fraction(jnp.asarray(0.022), jnp.asarray(7.0))


@pytest.mark.parametrize("n", [40, 80])
def test_collocation_order(n):
    """y' = -k (y - cos x) - sin x, stiff, solution cos x; and y' = -y^2 by Newton's method; orders 4 and 5."""
    h = 4.0 / n
    x = jnp.asarray(mesh_nodes(0.0, h, n))
    nodes = linear_step(h, 1.0, jnp.full_like(x, -1e2), 1e2 * jnp.cos(x) - jnp.sin(x))
    assert np.abs(nodes[2] - np.cos(x[2])).max() < 1.2e-7 * (40 / n) ** 4
    y = jnp.ones_like(x)
    for _ in range(7):
        y = newton_step(h, 1.0, lambda v: -(v**2), y)
    assert np.abs(y[2] - 1.0 / (1.0 + x[2])).max() < 6e-13 * (40 / n) ** 5
    assert np.abs(on_half_steps(1.0, y) - 1.0 / (1.0 + np.linspace(0.0, 4.0, 2 * n + 1))).max() < 2e-6 * (40 / n) ** 4
