"""A model of synthetic data with a theory in closed form, fitted once a session."""

import jax.numpy as jnp
import pytest

import boltzax
from boltzax import inference

from . import synthetic

FREE = ("h", "omega_b", "omega_cdm", "ln_A_s_1e10", "n_s", "tau_reio")
TRUTH = boltzax.Cosmology(h=0.69, omega_b=0.0225, omega_cdm=0.118, n_s=0.96, ln_A_s_1e10=3.06, tau_reio=0.06)


class Powers(inference.Likelihood):
    """Gaussian data: ten band means of each of tt, te and ee."""

    data: jnp.ndarray
    error: jnp.ndarray
    name: str = "powers"
    l_max: int = 400
    z: tuple = ()
    nuisance: tuple = (("calibration", 1.0, 0.01),)

    @staticmethod
    def bands(theory):
        return jnp.concatenate([getattr(theory, s)[1:401].reshape(10, 40).mean(axis=1) for s in ("tt", "te", "ee")])

    def residuals(self, theory, nuisance):
        return (self.data - nuisance["calibration"] * self.bands(theory)) / self.error


def powers(relative_error: float) -> Powers:
    truth = synthetic.theory(TRUTH)
    data = Powers.bands(truth)
    return Powers(data, relative_error * jnp.abs(data) + 1e-3)


@pytest.fixture(scope="session")
def model():
    return inference.Model([powers(0.01)], free=FREE, priors={"tau_reio": (0.06, 0.01)}, theory=synthetic.theory)


@pytest.fixture(scope="session")
def best(model):
    return inference.fit(model, tolerance=1e-8, progress=False)
