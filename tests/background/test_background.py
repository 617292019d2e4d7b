"""The homogeneous universe: against CLASS, closure, inverse, derivatives, and the limit of massless neutrinos."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.reference import POINTS
from scipy.integrate import quad

import boltzax
from boltzax.background import background
from boltzax.background.massive_neutrinos import density, density_by_quadrature, pressure

# Relative, twice the present errors. Those of massive neutrinos are of CLASS's momentum quadrature: against an adaptive
# rule ours are below 1e-10 (test_neutrino_density_and_pressure).
TOLERANCES = {
    "fiducial": {"H": 1e-8, "tau": 5e-9, "rs": 5e-9, "DA": 1.5e-10, "rho_ncdm": 3.3e-7, "p_ncdm": 1e-6},
    "massless": {"H": 1.5e-15, "tau": 5.5e-10, "rs": 2e-10, "DA": 1.5e-10},
}
PARAMETERS = ("h", "omega_cdm", "m_ncdm", "omega_b", "N_ur", "T_cmb")
BASE = np.array([0.6736, 0.12, 0.06, 0.02237, 2.0328, 2.7255])
LN_A = np.array([-20.0, -8.0, -5.0, -1.0, 0.0])


def of_parameters(p):
    h, omega_cdm, m_ncdm, omega_b, N_ur, T_cmb = p
    cosmo = boltzax.Cosmology(
        **{**POINTS["fiducial"], "h": h, "omega_cdm": omega_cdm, "m_ncdm": (m_ncdm,), "omega_b": omega_b}
        | {"N_ur": N_ur, "T_cmb": T_cmb}
    )
    return background(cosmo)


def outputs(p):
    """ln of H, tau, r_s at LN_A, of the distance to z = 1100 and of the age; ln a at fixed tau."""
    bg = of_parameters(p)
    tables = jnp.concatenate([jnp.log(f(LN_A)) for f in (bg.hubble, bg.conformal_time, bg.sound_horizon)])
    scalars = jnp.log(jnp.stack([bg.comoving_distance(1100.0), bg.age]))
    return jnp.concatenate([tables, scalars, bg.ln_a(jnp.array([1.0, 280.0, 3000.0]))])


@pytest.fixture(scope="module", params=["fiducial", "massless"])
def compared(request, reference):
    bg = jax.jit(background)(boltzax.Cosmology(**POINTS[request.param]))
    return bg, reference(request.param, "stages"), TOLERANCES[request.param]


def test_against_class(compared):
    bg, table, tolerances = compared
    ln_a = -np.log1p(table["bg_z"])
    late = table["bg_z"] > 1e-3
    ours = {
        "H": bg.hubble(ln_a),
        "tau": bg.conformal_time(ln_a),
        "rs": bg.sound_horizon(ln_a),
        "DA": np.where(late, bg.angular_diameter_distance(table["bg_z"]), table["bg_DA"]),
    }
    if bg.M_ncdm.shape[0]:
        ours["rho_ncdm"], ours["p_ncdm"] = (v[:, 0] for v in bg.rho_ncdm(jnp.exp(ln_a)))
    found = {k: np.abs(np.asarray(v)[:-1] / table[f"bg_{k}"][:-1] - 1.0).max() for k, v in ours.items()}
    for name, error in found.items():
        assert error < tolerances[name], (name, error)


def test_closure(compared):
    """The densities of today add up to H0^2, and the Friedmann equation gives H0 at a = 1."""
    bg, table, tolerances = compared
    ncdm = float(bg.rho_ncdm(jnp.ones(()))[0].sum()) if bg.M_ncdm.shape[0] else 0.0
    total = bg.rho_g + bg.rho_ur + bg.rho_b + bg.rho_cdm + bg.rho_lambda + ncdm
    assert abs(float(total / bg.H0**2) - 1.0) < 1e-14
    assert abs(float(bg.hubble(jnp.zeros(())) / bg.H0) - 1.0) < 1e-14
    assert abs(float(bg.tau_0) / table["bg_tau"][-1] - 1.0) < tolerances["tau"]


def test_ln_a_inverts_conformal_time(compared):
    bg, *_ = compared
    ln_a = np.linspace(-23.9, 0.0, 1201)
    assert np.abs(np.asarray(bg.ln_a(bg.conformal_time(ln_a))) - ln_a).max() < 1e-13


def test_tables_against_quadrature(compared):
    """d tau = da / (a^2 H) between grid points of the table, by an adaptive rule."""
    bg, *_ = compared
    a, b = -7.003, -6.0017
    integral = quad(lambda x: float(np.exp(-x) / bg.hubble(jnp.asarray(x))), a, b, epsrel=1e-12)[0]
    assert abs(float(bg.conformal_time(b) - bg.conformal_time(a)) / integral - 1.0) < 1e-11


def test_first_derivatives():
    value, jacobian = jax.jit(outputs), np.asarray(jax.jit(jax.jacfwd(outputs))(BASE))
    for i, name in enumerate(PARAMETERS):
        step = np.zeros(6)
        step[i] = 3e-3 * BASE[i]
        near, far = value(BASE + step) - value(BASE - step), value(BASE + 2 * step) - value(BASE - 2 * step)
        difference = np.asarray(8.0 * near - far) / (12.0 * step[i])
        error = np.abs(difference - jacobian[:, i]).max() / np.abs(jacobian[:, i]).max()
        assert error < 4e-10, (name, error)
    transposed = np.asarray(jax.jit(jax.jacrev(outputs))(BASE))
    assert np.abs(transposed - jacobian).max() < 1e-12 * np.abs(jacobian).max()


def test_second_derivatives_of_ln_a():
    """The root find behind ln_a carries exact second derivatives."""
    tau = jnp.array([1.0, 280.0, 3000.0])
    ln_a = lambda p: of_parameters(p).ln_a(tau)
    slope = jax.jit(jax.jacfwd(ln_a))
    hessian = np.asarray(jax.jit(jax.hessian(ln_a))(BASE))  # [tau, i, j]
    for i in range(3):
        step = np.zeros(6)
        step[i] = 3e-3 * BASE[i]
        near, far = slope(BASE + step) - slope(BASE - step), slope(BASE + 2 * step) - slope(BASE - 2 * step)
        difference = np.asarray(8.0 * near - far) / (12.0 * step[i])
        error = np.abs(difference - hessian[:, i]).max(0) * BASE * BASE[i]  # per unit logarithm of both parameters
        assert error.max() < 1e-7, (PARAMETERS[i], error)


def test_massless_limit():
    """m -> 0 gives the universe with one more massless species, and the approach is quadratic in m."""

    def universe(m):
        return outputs(jnp.asarray(BASE).at[2].set(m))

    light = boltzax.Cosmology(**{**POINTS["fiducial"], "m_ncdm": (1e-9,)})
    more = 0.71611**4 / (4.0 / 11.0) ** (4.0 / 3.0)
    massless = boltzax.Cosmology(**{**POINTS["fiducial"], "m_ncdm": (), "N_ur": 2.0328 + more})
    ours, limit = jax.jit(background)(light), jax.jit(background)(massless)
    for f in ("hubble", "conformal_time", "sound_horizon"):
        assert np.abs(np.asarray(getattr(ours, f)(LN_A) / getattr(limit, f)(LN_A)) - 1.0).max() < 1e-11
    m = np.array([0.0, 1e-5, 2e-5])
    at = np.array([np.asarray(jax.jit(universe)(v))[0] for v in m])  # ln H at ln a = -20: no mass felt
    assert np.ptp(at) < 1e-13


def test_neutrino_density_and_pressure():
    """Fermi-Dirac integrals from the relativistic to the cold limit, by an adaptive rule."""
    norm = 7.0 * np.pi**4 / 120.0
    for mass in (0.0, 1e-3, 0.3, 5.0, 400.0, 3e4):
        integral = partial(quad, args=(mass,), epsrel=1e-12, limit=200)
        rho = integral(lambda q, m: q**2 * np.sqrt(q * q + m * m) / (np.exp(q) + 1), 0, 60)[0] / norm
        p = integral(lambda q, m: q**4 / (3 * np.sqrt(q * q + m * m)) / (np.exp(q) + 1), 1e-9, 60)[0] / norm
        y = jnp.asarray(mass)
        assert abs(float(density(y)) / rho - 1.0) < 2e-12
        assert abs(float(density_by_quadrature(y)) / rho - 1.0) < 2e-12
        assert abs(float(pressure(y)) / p - 1.0) < 2e-12
