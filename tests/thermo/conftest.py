"""CLASS's histories, the same from boltzax (one program for each recombination model), and a stand-in background."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import boltzax
from boltzax.background import background
from boltzax.constants import H0_UNIT
from boltzax.errors import on_error_mode
from boltzax.thermo import thermodynamics

FILE = Path(__file__).resolve().parent.parent / "reference" / "thermo_points.npz"


class SplineBackground(eqx.Module):
    """Cubic splines through CLASS's background in place of boltzax's: isolates the thermodynamics stage."""

    knots: jax.Array
    coefficients: jax.Array  # [4, n - 1, 3] of ln H, ln tau, ln r_s
    N_eff: jax.Array
    early_cold: jax.Array  # density of cold dark matter [1/Mpc^2]
    K: None = None  # flat

    @classmethod
    def read(cls, table):
        values = np.stack([table[f"background_ln_{name}"] for name in ("H", "tau", "rs")], axis=-1)
        spline = CubicSpline(table["background_ln_a"], values)
        cold = table["header"]["fiducial"]["omega_cdm"] * H0_UNIT**2
        return cls(*map(jnp.asarray, (spline.x, spline.c, table["background_N_eff"], cold)))

    def _at(self, ln_a, field):
        i = jnp.clip(jnp.searchsorted(self.knots, ln_a, side="right") - 1, 0, self.knots.shape[0] - 2)
        c = self.coefficients[:, i, field]
        t = ln_a - self.knots[i]
        return jnp.exp(((c[0] * t + c[1]) * t + c[2]) * t + c[3])

    def hubble(self, ln_a):
        return self._at(ln_a, 0)

    def conformal_time(self, ln_a):
        return self._at(ln_a, 1)

    def sound_horizon(self, ln_a):
        return self._at(ln_a, 2)


@pytest.fixture(scope="session")
def class_histories():
    """All arrays of the reference file, and its header under "header"."""
    with np.load(FILE) as data:
        table = {key: data[key] for key in data.files}
    table["header"] = json.loads(str(table["header"]))
    return table


def cosmology(header, name):
    """boltzax's Cosmology at a point of the reference file."""
    settings = {k: v for k, v in {**header["fiducial"], **header["points"][name]}.items() if v is not None}
    settings["m_ncdm"] = (settings["m_ncdm"],)
    settings["recombination"] = settings["recombination"].lower()
    del settings["N_ncdm"]
    return boltzax.Cosmology(**settings)


@pytest.fixture(scope="session")
def history():
    """The compiled stage on boltzax's background: history(cosmology)."""

    def stage(cosmo):
        with on_error_mode("nan"):
            return thermodynamics(cosmo, background(cosmo))

    return jax.jit(stage)


@pytest.fixture(scope="session")
def compared(class_histories, history):
    """compared(name) -> (Thermodynamics, its state at CLASS's redshifts, CLASS's columns and scalars)."""
    done = {}

    def get(name):
        if name not in done:
            theirs = {k.split("/")[1]: v for k, v in class_histories.items() if k.startswith(name + "/")}
            ours = history(cosmology(class_histories["header"], name))
            done[name] = ours, ours.at(-np.log1p(theirs["z"])), theirs
        return done[name]

    return get
