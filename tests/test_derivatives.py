"""Derivatives of the whole pipeline: forward, reverse, one over the other, finite differences, edges.

Three programs at a small precision serve every test: they are right in every term, whatever their accuracy. The same
comparisons at full size, at more points and against CLASS: `python -m oracle.derivatives`.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import differences as diff
from oracle.derivatives import contraction, cotangent
from oracle.experiment import PARAMETERS, POINTS, SIGMA, SMALL, SMALL_OUTPUTS, cosmology, scales

import boltzax

X = np.array(POINTS["fiducial"])
MASS = PARAMETERS.index("m_ncdm")
UNLENSED = [f"unlensed_{name}" for name in diff.UNLENSED]


@pytest.fixture(scope="session")
def programs():
    return diff.Programs(SMALL_OUTPUTS, SMALL)


@pytest.fixture(scope="session")
def jacobian(programs):
    """jacobian(x): observables and their derivatives {parameter: observables}; each point once."""
    found = {}

    def at(x):
        if tuple(x) not in found:
            found[tuple(x)] = jax.device_get(programs.jacobian(np.asarray(x)))
        return found[tuple(x)]

    return at


@pytest.fixture(scope="session")
def second(programs):
    """second(x, v, c): value, gradient and, along v, their derivatives, of s + s^2/2 with s = c . observables."""

    def score(x, cotangents):
        observables = programs.of(boltzax.solve(cosmology(x), SMALL_OUTPUTS, SMALL))
        s = sum(jnp.sum(cotangents[name] * value) for name, value in observables.items())
        return s + 0.5 * s**2

    def both(x, v, cotangents):
        return jax.jvp(lambda y: jax.value_and_grad(score)(y, cotangents), (x,), (v,))

    return jax.jit(both)


def with_mass(mass: float) -> np.ndarray:
    return np.where(np.arange(X.size) == MASS, mass, X)


def worst(report) -> tuple[float, str]:
    return max((pair[0], f"{name} {part}") for name, parts in report.items() for part, pair in parts.items())


@pytest.mark.parametrize("seed", [0, 1])
def test_reverse_mode_agrees_with_forward_mode(jacobian, second, seed):
    value, jac = jacobian(X)
    c, v = cotangent(value, seed), np.random.default_rng(seed).normal(size=X.size) * scales()
    (_, gradient), (along, _) = jax.device_get(second(X, v, c))
    s = contraction(c, value)[0]
    for i, name in enumerate(PARAMETERS):
        total, size = contraction(c, jac[name])
        assert abs(gradient[i] / (1.0 + s) - total) < 1e-8 * size, name
    assert along == pytest.approx(float(gradient @ v), abs=1e-8 * np.linalg.norm(gradient * v))


@pytest.mark.parametrize("parameter", PARAMETERS)
def test_jacobian_agrees_with_finite_differences(programs, jacobian, parameter):
    value, jac = jacobian(X)
    report = diff.compare(SIGMA[parameter], value, jac[parameter], diff.of_boltzax(programs, X, parameter, levels=4))
    error, where = worst(report)
    assert error < 1e-5, where


def test_hessian_vector_product_agrees_with_differences_of_the_gradient(jacobian, second):
    c = cotangent(jacobian(X)[0], 3)
    v = np.random.default_rng(4).normal(size=X.size) * scales()
    product = scales() * np.asarray(second(X, v, c)[1][1])
    found = diff.central_differences(lambda x: second(x, v, c)[0][1], X, v, 0.4, levels=3)
    expected, _ = diff.extrapolate([scales() * d for d in found], np.ones(X.size), {"": slice(None)})
    np.testing.assert_allclose(product, expected, rtol=0.0, atol=1e-4 * np.max(np.abs(product)))


def test_primordial_derivatives_are_exact(jacobian):
    value, jac = jacobian(X)
    for name in (*UNLENSED, "lensed_pp"):
        np.testing.assert_allclose(jac["ln_A_s_1e10"][name][2:], value[name][2:], rtol=1e-12)
    tilt = np.log(diff.wavenumbers(SMALL_OUTPUTS.k_max) / 0.05)
    for z in diff.Z_PK:
        p = value[f"pk_z{z:g}"]
        np.testing.assert_allclose(jac["ln_A_s_1e10"][f"pk_z{z:g}"], p, rtol=1e-12)
        np.testing.assert_allclose(jac["n_s"][f"pk_z{z:g}"], p * tilt, rtol=0.0, atol=1e-12 * np.max(np.abs(p * tilt)))
    for name in ("derived_rs_drag", "derived_tau_0", "derived_YHe", "thermodynamics_g", "background_H"):
        for parameter in ("ln_A_s_1e10", "n_s"):
            assert not np.any(jac[parameter][name])


def test_no_dependence_is_lost(jacobian):
    _, jac = jacobian(X)
    for parameter, name, sign in (
        ("tau_reio", "derived_z_reio", 1),
        ("omega_b", "derived_z_reio", -1),
        ("omega_b", "derived_YHe", 1),
        ("N_ur", "derived_YHe", 1),
        ("N_ur", "derived_rs_drag", -1),
        ("m_ncdm", "derived_tau_0", -1),
        ("m_ncdm", "derived_Omega_m", 1),
        ("m_ncdm", "derived_sigma8", -1),
        ("h", "derived_theta_s_100", 1),
        ("omega_cdm", "derived_z_rec", 1),
    ):
        assert np.sign(jac[parameter][name]) == sign, (parameter, name)


def test_derivatives_at_vanishing_mass(programs, jacobian):
    """Everything is even in a mass, so the derivative by it vanishes at zero; there is no step on the way."""
    zero, tiny = jacobian(with_mass(0.0)), jacobian(with_mass(1e-9))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(zero))
    slope = jacobian(X)[1]["m_ncdm"]
    for name in (*UNLENSED, "lensed_tt", "lensed_pp", "pk_z0", "background_H"):
        w = diff.weight(name, zero[0][name])
        assert np.max(np.abs(w * zero[1]["m_ncdm"][name])) < 1e-9 * np.max(np.abs(w * slope[name])), name
        for parameter in (p for p in PARAMETERS if p != "m_ncdm"):
            here, near = w * zero[1][parameter][name], w * tiny[1][parameter][name]
            np.testing.assert_allclose(here, near, rtol=0.0, atol=1e-7 * np.max(np.abs(here)), err_msg=name)
    x = with_mass(5e-4)  # neutrinos that become slow today
    value, jac = jacobian(x)
    found = diff.central_differences(programs.value, x, np.arange(X.size) == MASS, 1e-4, levels=4)
    report = diff.compare(SIGMA["m_ncdm"], value, jac["m_ncdm"], found)
    error, where = worst(report)
    assert error < 1e-4, where
