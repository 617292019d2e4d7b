"""Runs of the integrator at chosen wavenumbers, and its medium as plain numpy functions."""

from dataclasses import dataclass

import jax
import numpy as np
import pytest
from oracle.reference import POINTS
from scipy.interpolate import make_interp_spline

import boltzax
from boltzax.background import background
from boltzax.errors import on_error_mode
from boltzax.perturbations.integrate import Trajectory, integrate
from boltzax.perturbations.layout import layout
from boltzax.perturbations.mesh import schedule
from boltzax.precision import Precision
from boltzax.solve import history
from boltzax.thermo import thermodynamics


@dataclass(frozen=True)
class Universe:
    """Background and medium of a solved point; kappa' and the rest over conformal time through one spline."""

    background: object
    table: object

    @property
    def tau_0(self) -> float:
        return float(self.background.tau_0)

    @property
    def n_ncdm(self) -> int:
        return self.background.M_ncdm.shape[0]

    def medium(self):
        """Function of tau giving a, aH, kappa', c_b^2."""
        t = self.table
        ln_x = float(t.x0) + float(t.dx) * np.arange(t.values.shape[0])
        spline, tau_0 = make_interp_spline(ln_x, np.asarray(t.values), k=5), self.tau_0

        def at(tau):
            ln_a, ln_aH, ln_kappa_prime, a_cb2 = spline(np.log(tau / tau_0)).T
            a = np.exp(ln_a)
            return a, np.exp(ln_aH), np.exp(ln_kappa_prime), a_cb2 / a

        return at


@dataclass(frozen=True)
class Mode:
    """One wavenumber [1/Mpc]: conformal times of the step ends and the fields of the trajectory there, time first."""

    k: float
    tau: np.ndarray
    start: float
    fields: Trajectory

    @property
    def alpha(self):
        h, eta = self.fields.metric.T
        return (h + 6.0 * eta) / (2.0 * self.k**2)


@pytest.fixture(scope="session")
def universe():
    """universe(name): background and packed history of a reference point."""
    found = {}

    @jax.jit
    def compute(cosmo):
        with on_error_mode("nan"):
            bg = background(cosmo)
            return bg, history(bg, thermodynamics(cosmo, bg))

    def get(name):
        if name not in found:
            found[name] = Universe(*compute(boltzax.Cosmology(**POINTS[name])))
        return found[name]

    return get


@pytest.fixture(scope="session")
def evolve(universe):
    """evolve(name, ks, **precision): the modes ks [1/Mpc] of a point, integrated together."""
    found = {}

    def get(name, ks, **changes):
        key = (name, tuple(ks), tuple(sorted(changes.items())))
        if key not in found:
            u, p = universe(name), Precision(**changes)
            plan = schedule(tuple(k * u.tau_0 for k in ks), p)
            lay = layout(p, u.n_ncdm)
            out = jax.jit(lambda bg, t: integrate(lay, bg, t, plan, p.block))(u.background, u.table)
            modes = []
            for i, k in enumerate(ks):
                rows = plan.mode_start[i] + np.arange(plan.mode_steps[i])
                lane = plan.mode_lane[i]
                x, h = plan.x[rows, lane], plan.h[rows, lane]
                fields = jax.tree.map(lambda v: np.asarray(v)[rows][..., lane], out)  # noqa: B023
                modes.append(Mode(k, (x + h) * u.tau_0, x[0] * u.tau_0, fields))
            found[key] = modes
        return found[key]

    return get
