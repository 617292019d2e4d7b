"""boltzax as a benchmark sees it: tasks that take the number of a cosmology, and the programs behind them."""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("BOLTZAX_ON_ERROR", "nan")  # before programs are traced: JAX caches no program that can raise
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # for `oracle`, which is not an installed package

import jax
import jax.numpy as jnp
from oracle.experiment import PARAMETERS, SMALL, Experiment

import boltzax
import launches
from boltzax.grids import unlensed_l_max
from boltzax.solve import background, perturbed_sources, spectra, thermodynamics
from boltzax.spectra.angular import AngularSpectra
from boltzax.spectra.lensing import lens
from points import NEUTRINOS, SPECTRA, YHE, cosmology_at


def _stand_in(l_max: int) -> AngularSpectra:
    """Smooth positive spectra: what chi2 and lensing cost does not depend on their input."""
    l = jnp.arange(l_max + 1.0)
    cl = 1e-10 / (l + 10.0) ** 2
    return AngularSpectra(l, cl, 0.1 * cl, cl, 0.0 * cl, 1e-4 * cl, 0.0 * cl, 0.0 * cl, jnp.asarray(2.7255))


class Boltzax:
    """Tasks of boltzax.solve; settings: l_max, k_max, neutrinos, small, precision (changes of Precision's defaults)."""

    def __init__(self, settings):
        self.neutrinos = NEUTRINOS[settings["neutrinos"]]
        base = vars(SMALL) if settings.get("small") else {}
        self.precision = boltzax.Precision(**(base | settings.get("precision", {})))
        self.outputs = boltzax.Outputs(l_max=settings["l_max"], k_max=settings["k_max"])
        self.params = tuple(p for p in PARAMETERS if p != "m_ncdm" or self.neutrinos["m_ncdm"])
        self._chi2 = jax.jit(jax.value_and_grad(self._chi2_of))
        self._batch = jax.jit(jax.vmap(self._spectra))

    def cosmology(self, index):
        return boltzax.Cosmology(**cosmology_at(index), **self.neutrinos, YHe=YHE)

    def _solve(self, cosmo):
        return boltzax.solve(cosmo, self.outputs, self.precision)

    def _spectra(self, cosmo):
        results = self._solve(cosmo)
        return results.lensed_cl, results.matter, results.derived

    def _chi2_of(self, values, cosmo):
        cosmo = cosmo.replace(**values)
        return Experiment(_stand_in(self.outputs.l_max))(self._solve(cosmo).lensed_cl)

    # -- tasks: new parameters at each call ----------------------------------------------------------------------------

    def value(self, index):
        """Lensed spectra and P(k) of one cosmology."""
        return float(jax.block_until_ready(self._solve(self.cosmology(index))).lensed_cl.tt[200])

    def spectra(self, index):
        """Lensed C_l of one cosmology."""
        lensed = self._solve(self.cosmology(index)).lensed_cl
        return {name: getattr(lensed, name).tolist() for name in SPECTRA}

    def jacobian(self, index):
        """The same with derivatives of spectra and derived parameters by all parameters."""
        results, jac = jax.block_until_ready(
            boltzax.jacobian(self.cosmology(index), self.params, outputs=self.outputs, precision=self.precision)
        )
        return [float(results.lensed_cl.tt[200]), len(jac)]

    def gradient(self, index):
        """chi2 and its gradient by all parameters, in reverse mode."""
        cosmo = self.cosmology(index)
        chi2, gradient = jax.block_until_ready(self._chi2({p: getattr(cosmo, p) for p in self.params}, cosmo))
        return [float(chi2), len(gradient)]

    def batch(self, index, size):
        """`size` cosmologies under one vmap."""
        many = [self.cosmology(1 + index * size + i) for i in range(size)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *many)
        return float(jax.block_until_ready(self._batch(stacked))[0].tt[-1, 200])

    # -- what is inside ------------------------------------------------------------------------------------------------

    def stages(self, indices):
        """Wall times of the stages, each jitted by itself, at every index: {stage: list}."""
        o, p = self.outputs, self.precision
        cosmo, bg, th, src = "cosmology", "background", "thermodynamics", "perturbations and sources"
        cl, l_max = _stand_in(unlensed_l_max(p, o)), o.l_max
        steps = (
            (bg, background, (cosmo,)),
            (th, thermodynamics, (cosmo, bg)),
            (src, lambda *stages: perturbed_sources(*stages, o, p), (cosmo, bg, th)),
            ("projection and lensing", lambda *stages: spectra(*stages, o, p), (cosmo, bg, th, src)),
            ("lensing alone", lambda c: lens(c.h * cl.tt, cl.te, cl.ee, cl.pp, l_max=l_max), (cosmo,)),
        )
        compiled = {name: jax.jit(function) for name, function, _ in steps}
        times = {name: [] for name in compiled}
        for index in (indices[0], *indices):  # the first round compiles
            have = {cosmo: self.cosmology(index)}
            for name, _, needs in steps:
                start = time.perf_counter()
                have[name] = jax.block_until_ready(compiled[name](*(have[k] for k in needs)))
                times[name].append(time.perf_counter() - start)
        return {name: values[1:] for name, values in times.items()}

    def launches(self, of, size=1):
        """What the compiled program of "value", "batch", "jacobian" or "gradient" launches (`launches.count`)."""
        cosmo = self.cosmology(0)
        if of == "value":
            program = jax.jit(self._spectra).lower(cosmo)
        elif of == "batch":
            program = self._batch.lower(jax.tree.map(lambda leaf: jnp.stack([leaf] * size), cosmo))
        elif of == "gradient":
            program = self._chi2.lower({p: getattr(cosmo, p) for p in self.params}, cosmo)
        else:
            settings = {"outputs": self.outputs, "precision": self.precision}
            program = jax.jit(lambda c: boltzax.jacobian(c, self.params, **settings)).lower(cosmo)
        return launches.count(program.compile().as_text())

    def device(self):
        """The device that JAX computes on, and the largest memory it used [MiB] where it says."""
        device = jax.devices()[0]
        stats = device.memory_stats() or {}
        peak = stats.get("peak_bytes_in_use")
        return {"platform": device.platform, "kind": device.device_kind, "peak": peak and peak / 2**20}
