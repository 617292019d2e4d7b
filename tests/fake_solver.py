"""A solver in closed forms of the parameters, in place of boltzax's, for tests of what is around it."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from boltzax.errors import OutOfRangeError, PrecisionError, error_if


class FakeSpectra(eqx.Module):
    ell: jax.Array
    tt: jax.Array
    te: jax.Array
    ee: jax.Array
    bb: jax.Array
    pp: jax.Array
    tp: jax.Array
    ep: jax.Array

    def D_l(self, unit):
        assert unit == "muK2"
        factor = self.ell * (self.ell + 1) / (2 * np.pi)
        spectra = [factor * 2.7255e6**2 * getattr(self, name) for name in ("tt", "te", "ee", "bb")]
        return FakeSpectra(self.ell, *spectra, factor * self.ell * (self.ell + 1) * self.pp, self.tp, self.ep)


class FakeDerived(eqx.Module):
    sigma8: jax.Array
    age: jax.Array


class FakeResults(eqx.Module):
    lensed_cl: FakeSpectra
    unlensed_cl: FakeSpectra
    tensor_cl: FakeSpectra | None
    derived: FakeDerived
    amplitude: jax.Array
    nonlinear: str | None

    def pk(self, k, z):
        return 2.0 * self.pk_lin(k, z)

    def pk_lin(self, k, z, species="m"):
        return self.amplitude * (0.9 if species == "cb" else 1.0) * jnp.asarray(k) / (1.0 + z) ** 2


def fake_spectra(amplitude, l_max, lensing):
    ell = jnp.arange(l_max + 1)
    tt = jnp.where(ell < 2, 0.0, amplitude / (ell + 1.0) ** 2)
    rows = (tt, 0.3 * tt, 0.5 * tt, lensing * 0.1 * tt, tt / (ell + 1.0) ** 2, 0.2 * tt, 0.1 * tt)
    return FakeSpectra(ell, *rows)


def fake_solve(cosmo, outputs=None, precision=None):
    tau = cosmo.tau_reio if cosmo.z_reio is None else cosmo.z_reio / 100.0
    tau = error_if(tau, tau < 0.001, "tau_reio is below what recombination leaves", OutOfRangeError)
    amplitude = cosmo.A_s * (1.0 + tau) * precision.factor
    lensed, unlensed = (fake_spectra(amplitude, outputs.l_max, lensing) for lensing in (1.0, 0.0))
    tensor = None if cosmo.r is None else fake_spectra(cosmo.r * amplitude, outputs.l_max, 1.0)
    derived = FakeDerived(cosmo.h, 10.0 * cosmo.h)
    return FakeResults(lensed, unlensed, tensor, derived, amplitude, outputs.nonlinear)


@dataclass(frozen=True)
class FakeOutputs:
    l_max: int = 2500
    nonlinear: str | None = None

    def __post_init__(self):
        if self.l_max > 9000:
            raise PrecisionError(f"l_max = {self.l_max} is beyond the tables (9000)")


@dataclass(frozen=True)
class FakePrecision:
    factor: float = 1.0

    @classmethod
    def fast(cls):
        return cls(0.5)

    @classmethod
    def reference(cls):
        return cls(2.0)
