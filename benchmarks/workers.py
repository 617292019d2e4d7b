"""One code in its own process, evaluated on request: its time, CPU time and peak memory are its own.

`python benchmarks/workers.py CODE SETTINGS` answers each line of JSON on its standard input with one: {"point": i}
asks for the spectra at point i of `cosmology_at`, {"stages": [i, ...]} for boltzax's times stage by stage.
"""

import json
import os
import resource
import sys
import time

import numpy as np

NEUTRINOS = {
    "massless": {"m_ncdm": (), "N_ur": 3.044},
    "massive": {"m_ncdm": (0.06,), "N_ur": 2.0328, "T_ncdm": 0.71611},
}
_CENTRE = {"h": 0.6736, "omega_b": 0.02237, "omega_cdm": 0.12, "ln_A_s_1e10": 3.044, "n_s": 0.9649, "tau_reio": 0.0544}
_WIDTH = {"h": 0.02, "omega_b": 0.0005, "omega_cdm": 0.004, "ln_A_s_1e10": 0.04, "n_s": 0.015, "tau_reio": 0.01}


def cosmology_at(index: int) -> dict[str, float]:
    """Parameters of point `index`: uniform in a box around Planck 2018, the same for every code."""
    draw = np.random.default_rng(1000 + index).uniform(-1.0, 1.0, len(_CENTRE))
    return {k: c + _WIDTH[k] * float(u) for (k, c), u in zip(_CENTRE.items(), draw, strict=True)}


class Boltzax:
    """boltzax.solve at its default precision: lensed spectra and P(k)."""

    def __init__(self, settings):
        import boltzax

        self.package = boltzax
        self.neutrinos = NEUTRINOS[settings["neutrinos"]]
        self.outputs = boltzax.Outputs(l_max=settings["l_max"], k_max=settings["k_max"])
        self.precision = boltzax.Precision()

    def cosmology(self, index):
        return self.package.Cosmology(**cosmology_at(index), **self.neutrinos, YHe=0.2454)

    def __call__(self, index):
        import jax

        result = jax.block_until_ready(self.package.solve(self.cosmology(index), self.outputs, self.precision))
        return float(result.lensed_cl.tt[200])

    def stages(self, indices):
        """Wall times of the stages, each jitted by itself, at every index: {stage: list}."""
        import jax

        pipeline, lensing = sys.modules["boltzax.solve"], sys.modules["boltzax.spectra.lensing"]
        o, p = self.outputs, self.precision
        cosmo, bg, th, src = "cosmology", "background", "thermodynamics", "perturbations and sources"
        l = np.arange(sys.modules["boltzax.grids"].unlensed_l_max(p, o) + 1.0)

        def lens(c):  # what it costs does not depend on the spectra
            cl = c.h / (l + 10.0) ** 4
            return lensing.lens(cl, 0.1 * cl, cl, 1e-4 * cl, l_max=o.l_max)

        steps = (
            (bg, pipeline.background, (cosmo,)),
            (th, pipeline.thermodynamics, (cosmo, bg)),
            (src, lambda *stages: pipeline.perturbed_sources(*stages, o, p), (cosmo, bg, th)),
            ("projection and lensing", lambda *stages: pipeline.spectra(*stages, o, p), (cosmo, bg, th, src)),
            ("lensing alone", lens, (cosmo,)),
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


class Classy:
    """CLASS at its default precision."""

    def __init__(self, settings):
        from classy import Class

        self.new, self.l_max = Class, settings["l_max"]
        self.fixed = {"output": "tCl,pCl,lCl", "lensing": "yes", "l_max_scalars": self.l_max, "YHe": 0.2454}
        if settings["pk"]:
            self.fixed |= {"output": "tCl,pCl,lCl,mPk", "P_k_max_1/Mpc": settings["k_max"]}
        neutrinos = dict(NEUTRINOS[settings["neutrinos"]])
        masses = neutrinos.pop("m_ncdm")
        if masses:
            neutrinos |= {"N_ncdm": len(masses), "m_ncdm": ",".join(map(str, masses))}
        self.fixed |= neutrinos

    def __call__(self, index):
        code = self.new()
        code.set(self.fixed | cosmology_at(index))
        code.compute()
        value = float(code.lensed_cl(self.l_max)["tt"][200])
        code.struct_cleanup()
        return value


class Camb:
    """CAMB at its default precision with lens_potential_accuracy = 1."""

    def __init__(self, settings):
        import camb

        self.package, self.settings = camb, settings

    def __call__(self, index):
        c, s = cosmology_at(index), self.settings
        massive = s["neutrinos"] == "massive"
        pars = self.package.CAMBparams()
        pars.set_cosmology(
            H0=100 * c["h"],
            ombh2=c["omega_b"],
            omch2=c["omega_cdm"],
            mnu=0.06 if massive else 0.0,
            num_massive_neutrinos=int(massive),
            nnu=3.044,
            YHe=0.2454,
            tau=c["tau_reio"],
        )
        pars.InitPower.set_params(As=1e-10 * np.exp(c["ln_A_s_1e10"]), ns=c["n_s"])
        pars.set_for_lmax(s["l_max"], lens_potential_accuracy=1)
        if s["pk"]:
            pars.set_matter_power(redshifts=[0.0], kmax=s["k_max"], silent=True)
        results = self.package.get_results(pars)
        if s["pk"]:
            results.get_linear_matter_power_spectrum()
        return float(results.get_lensed_scalar_cls(s["l_max"], raw_cl=True)[200, 0])


CODES = {"boltzax": Boltzax, "classy": Classy, "camb": Camb}


def peak_memory() -> float:
    """Largest resident memory of this process so far [MiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(call, *args) -> dict:
    """Wall and CPU time [s] (all threads) of a call, with its value."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = call(*args)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "value": value}


def main():
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a code prints must not mix with the answers

    def answer(content):
        print(json.dumps(content), file=answers, flush=True)

    try:
        start = measured(lambda: CODES[name](settings))
    except ImportError as error:
        answer({"error": f"{name} cannot be imported: {error}"})
        return
    code = start.pop("value")
    answer({"import": start["wall"]})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = code.stages(request["stages"]) if "stages" in request else measured(code, request["point"])
        except Exception as error:
            answer({"error": f"{type(error).__name__}: {error}"})
        else:
            answer(reply | {"peak_memory": peak_memory()})


if __name__ == "__main__":
    main()
