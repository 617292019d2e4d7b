"""Angles of the sound horizon in place of h: against CLASS and CAMB, derivatives, transformations, errors."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.make_growth_reference import CAMB_POINTS, SHOOTING_VARIED

from boltzax import Cosmology
from boltzax.errors import ConflictingParametersError, ParameterRangeError
from boltzax.parameters import ANGLES

FIXED = {"YHe": 0.2454, "T_cmb": 2.7255, "T_ncdm": 0.71611}


@pytest.fixture(scope="module")
def table():
    with np.load(Path(__file__).parent / "reference" / "growth.npz") as data:
        return {name: data[name] for name in data.files}


def _point(row):
    return dict(zip(SHOOTING_VARIED, row.tolist(), strict=True)) | FIXED


def test_h_of_class(table):
    """The h that CLASS's shooting finds, from the angle that CLASS has there."""
    for row, h, angle in zip(table["shooting/points"], table["shooting/h"], table["shooting/theta_s_100"], strict=True):
        cosmo = Cosmology(**_point(row) | {"theta_s_100": float(angle)})
        assert abs(float(cosmo.h) / h - 1.0) < 2e-7
        assert abs(float(cosmo.theta_s_100) / angle - 1.0) < 1e-9
        # CLASS itself misses the angle that was asked for by up to 3e-6
        assert abs(angle / row[0] - 1.0) < 3e-6


def test_angles_of_camb(table):
    for i, (h, omega_b, omega_cdm) in enumerate(CAMB_POINTS):
        cosmo = Cosmology(
            h=h, omega_b=omega_b, omega_cdm=omega_cdm, m_ncdm=(), N_ur=3.046, YHe=0.2454, recombination="recfast"
        )
        assert abs(float(cosmo.cosmomc_theta) / table["camb/cosmomc_theta"][i] - 1.0) < 1e-6
        assert abs(float(cosmo.thetastar) / table["camb/thetastar"][i] - 1.0) < 2e-5  # its own recfast and integrals


def test_theta_star_of_class():
    """kappa = 1 with reionization: classy 3.4.1 at its defaults, good to 1e-7 here."""
    cosmo = Cosmology(YHe=0.2454, N_ur=2.0328, m_ncdm=(0.06,))
    assert abs(float(cosmo.theta_star_100) / 1.0441985133595464 - 1.0) < 2e-7
    more = cosmo.replace(tau_reio=0.1)
    assert abs(float(more.theta_star_100) / 1.0469030679360722 - 1.0) < 2e-7
    assert abs(float(more.thetastar) / float(cosmo.thetastar) - 1.0) < 1e-6  # which does not count reionization


@pytest.mark.parametrize("name", ANGLES)
def test_round_trip(name):
    """Back to h, far from where the search begins."""
    for h, omega_cdm, mass in ((0.7, 0.13, 0.06), (2.0, 0.12, 0.3), (0.4, 0.11, 0.0)):
        cosmo = Cosmology(h=h, omega_cdm=omega_cdm, m_ncdm=(mass,), YHe=0.25)
        found = Cosmology(omega_cdm=omega_cdm, m_ncdm=(mass,), YHe=0.25, **{name: float(getattr(cosmo, name))})
        assert abs(float(found.h) / h - 1.0) < 1e-7
        assert abs(float(getattr(found, name)) / float(getattr(cosmo, name)) - 1.0) < 1e-8


def test_round_trip_with_densities_over_critical():
    """Then all densities move with h in the search."""
    cosmo = Cosmology(h=0.5, Omega_b=0.06, Omega_m=0.9, m_ncdm=(0.3,), YHe=0.25)
    others = {"Omega_b": 0.06, "Omega_m": 0.9, "Omega_ncdm": cosmo.Omega_ncdm, "YHe": 0.25}
    found = Cosmology(theta_s_100=float(cosmo.theta_s_100), **others)
    for name in ("h", "omega_b", "omega_cdm", "m_ncdm"):
        assert np.allclose(getattr(found, name), getattr(cosmo, name), rtol=1e-6, atol=0.0), name


def test_every_way_in(tmp_path):
    h = float(Cosmology(theta_s_100=1.04).h)
    (tmp_path / "p.yaml").write_text("theta_s_100: 1.04\n")
    ways = (
        Cosmology(**{"100*theta_s": 1.04}),
        Cosmology().replace(theta_s_100=1.04),
        Cosmology(h=0.6).replace(**{"100*theta_s": 1.04}),
        Cosmology.from_dict({"theta_s_100": "1.04"}),
        Cosmology.from_yaml(tmp_path / "p.yaml"),
        Cosmology(theta_s_100=np.float32(1.04)),
    )
    assert all(abs(float(cosmo.h) - h) < 1e-6 for cosmo in ways)
    assert Cosmology(theta_s_100=1.04).to_classy()["h"] == h
    # what is kept is what is stored
    assert float(Cosmology(theta_s_100=1.04).replace(omega_cdm=0.11).h) == h


def _h(theta, omega_b, mass):
    return Cosmology(theta_s_100=theta, omega_b=omega_b, m_ncdm=(mass,), YHe=0.2454).h


def test_derivatives():
    """Forward mode by central differences of fourth order; reverse mode against it; vmap."""
    at = np.array([1.0418, 0.02237, 0.06])
    forward = np.array(jax.jit(jax.jacfwd(lambda v: _h(*v)))(at))
    h = jax.jit(lambda v: _h(*v))
    for i, step in enumerate((1e-3, 2e-5, 1e-3)):
        move = lambda s, i=i, step=step: float(h(at + s * step * np.eye(3)[i]))
        numeric = (8.0 * (move(1) - move(-1)) - (move(2) - move(-2))) / (12.0 * step)
        assert abs(forward[i] / numeric - 1.0) < 1e-6
    pulled = jax.jit(jax.grad(_h, argnums=(0, 1, 2)))(*at)
    assert np.allclose(np.array(pulled), forward, rtol=1e-9)
    angles = jnp.array([1.03, 1.04, 1.05])
    many = jax.jit(jax.vmap(lambda theta: _h(theta, at[1], at[2])))(angles)
    assert np.allclose(many, [float(_h(theta, at[1], at[2])) for theta in angles.tolist()], rtol=1e-9)


def test_second_derivative():
    """By differences of the first, of the fitting formula's angle, which compiles quickly."""
    slope = jax.jit(jax.grad(lambda theta: Cosmology(cosmomc_theta=theta).h))
    bend = float(jax.jit(jax.grad(jax.grad(lambda theta: Cosmology(cosmomc_theta=theta).h)))(0.0104))
    numeric = float(slope(0.0104 + 1e-6) - slope(0.0104 - 1e-6)) / 2e-6
    assert abs(bend / numeric - 1.0) < 1e-5


@pytest.mark.parametrize("theta", [0.3, 3.0, -1.0, float("nan")])
def test_an_angle_that_no_h_gives(theta):
    with pytest.raises(ParameterRangeError, match=r"no h between 0\.1 and 3 gives theta_s_100"):
        Cosmology(theta_s_100=theta)


def test_other_errors():
    with pytest.raises(ConflictingParametersError, match="h and theta_s_100"):
        Cosmology(h=0.7, theta_s_100=1.04)
    with pytest.raises(ConflictingParametersError, match="same parameter"):
        Cosmology(theta_s_100=1.04, **{"100*theta_s": 1.04})
    with pytest.raises(ParameterRangeError, match=r"omega_b = -0\.02"):
        Cosmology(theta_s_100=1.04, omega_b=-0.02)
    with pytest.raises(ParameterRangeError, match="must be one number"):
        Cosmology(theta_s_100=(1.04, 1.05))


def test_traced_angle_that_no_h_gives(monkeypatch):
    """Not a number where errors become that; the others of a batch are not touched."""
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "nan")
    found = jax.jit(jax.vmap(lambda theta: Cosmology(cosmomc_theta=theta).h))(jnp.array([0.0104, 0.03]))
    assert np.isfinite(found[0]) and np.isnan(found[1])
