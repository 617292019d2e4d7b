"""An angle of the sound horizon as a sampled parameter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from boltzax import inference

from . import synthetic
from .conftest import FREE, TRUTH, powers


def _model(angle):
    free = (angle, *FREE[1:])
    return inference.Model([powers(0.01)], free, priors={"tau_reio": (0.06, 0.01)}, theory=synthetic.theory)


def test_fit_over_the_angle():
    """Start and best fit are those over h."""
    model = _model("theta_s_100")
    assert model.start[0] == pytest.approx(float(model.cosmology(model.start).theta_s_100), rel=1e-8)
    best = inference.fit(model, progress=False)
    assert best.values["theta_s_100"] == pytest.approx(float(TRUTH.theta_s_100), rel=1e-5)
    assert float(model.cosmology(best.x).h) == pytest.approx(float(TRUTH.h), rel=1e-4)


def test_derivatives_of_the_posterior():
    """Forward and reverse mode, with the angle that compiles quickly; no probability where no h gives it."""
    model = _model("cosmomc_theta")
    posterior = jax.jit(jax.value_and_grad(model.log_posterior))
    _, r, J = model.linearize(model.start)
    value, gradient = posterior(jnp.asarray(model.start))
    assert float(value) == pytest.approx(-0.5 * float(r @ r), rel=1e-9)
    np.testing.assert_allclose(-(J.T @ r), gradient, rtol=1e-6)
    assert float(posterior(jnp.asarray(model.start).at[0].set(0.03))[0]) == -np.inf
