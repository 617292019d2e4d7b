"""One code in its own process, evaluated on request: its time, CPU time and peak memory are its own.

`python benchmarks/workers.py CODE SETTINGS` answers each line of JSON on its standard input with one. {"point": i} asks
for the spectra at cosmology i; with "task" for another method of `solver.Boltzax`, with its further arguments; the task
"spectra" of every code gives the lensed C_l (dimensionless, from l = 0) themselves.
"""

import json
import os
import resource
import sys
import time

import numpy as np

from points import NEUTRINOS, SPECTRA, YHE, cosmology_at


def boltzax(settings):
    """boltzax.solve at its default precision, or with the changes in settings."""
    from solver import Boltzax

    return Boltzax(settings)


class Compared:
    """A code that boltzax is compared with: spectra(index), the lensed C_l by name as lists."""

    def value(self, index):
        """The same work, and one number of it."""
        return self.spectra(index)["tt"][200]


class Classy(Compared):
    """CLASS at its default precision."""

    def __init__(self, settings):
        from classy import Class

        self.new, self.l_max = Class, settings["l_max"]
        self.fixed = {"output": "tCl,pCl,lCl", "lensing": "yes", "l_max_scalars": self.l_max, "YHe": YHE}
        if settings["pk"]:
            self.fixed |= {"output": "tCl,pCl,lCl,mPk", "P_k_max_1/Mpc": settings["k_max"]}
        neutrinos = dict(NEUTRINOS[settings["neutrinos"]])
        masses = neutrinos.pop("m_ncdm")
        if masses:
            neutrinos |= {"N_ncdm": len(masses), "m_ncdm": ",".join(map(str, masses))}
        self.fixed |= neutrinos

    def spectra(self, index):
        code = self.new()
        code.set(self.fixed | cosmology_at(index))
        code.compute()
        lensed = code.lensed_cl(self.l_max)
        code.struct_cleanup()
        return {name: lensed[name].tolist() for name in SPECTRA}


class Camb(Compared):
    """CAMB at its default precision with lens_potential_accuracy = 1."""

    def __init__(self, settings):
        import camb

        self.package, self.settings = camb, settings

    def spectra(self, index):
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
            YHe=YHE,
            tau=c["tau_reio"],
        )
        pars.InitPower.set_params(As=1e-10 * np.exp(c["ln_A_s_1e10"]), ns=c["n_s"])
        pars.set_for_lmax(s["l_max"], lens_potential_accuracy=1, nonlinear=False)  # as the others
        if s["pk"]:
            pars.set_matter_power(redshifts=[0.0], kmax=s["k_max"], silent=True)
        results = self.package.get_results(pars)
        if s["pk"]:
            results.get_linear_matter_power_spectrum()
        lensed = results.get_lensed_scalar_cls(s["l_max"], raw_cl=True)  # columns TT, EE, BB, TE
        return {name: lensed[:, column].tolist() for name, column in zip(SPECTRA, (0, 3, 1), strict=True)}


class Abcmb(Compared):
    """ABCMB at its default precision (arXiv:2602.15104); massless neutrinos alone."""

    def __init__(self, settings):
        from abcmb.main import Model

        if settings["neutrinos"] != "massless":
            raise ValueError("asked of ABCMB with massless neutrinos alone")
        self.model, self.l_max = Model(l_max=settings["l_max"], lensing=True), settings["l_max"]

    def spectra(self, index):
        c = cosmology_at(index)
        c |= {"A_s": 1e-10 * np.exp(c.pop("ln_A_s_1e10")), "tau_reion": c.pop("tau_reio")}
        out = self.model(c | {"Neff": NEUTRINOS["massless"]["N_ur"], "YHe": YHE, "N_nu_massive": 0})
        found = {name: np.zeros(self.l_max + 1) for name in SPECTRA}
        for name, values in zip(SPECTRA, (out.ClTT, out.ClTE, out.ClEE), strict=True):
            found[name][np.asarray(out.l, dtype=int)] = values
        return {name: values.tolist() for name, values in found.items()}


CODES = {"boltzax": boltzax, "classy": Classy, "camb": Camb, "abcmb": Abcmb}
UNTIMED = ("stages", "launches", "device")  # tasks that return what they measured


def peak_memory() -> float:
    """Largest resident memory of this process so far [MiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(call, *args, **kwargs) -> dict:
    """Wall and CPU time [s] (all threads) of a call, with its value."""
    wall, cpu = time.perf_counter(), time.process_time()
    value = call(*args, **kwargs)
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "value": value}


def respond(code, task="value", point=None, **arguments) -> dict:
    """The answer to one request."""
    if task in UNTIMED:
        return {"found": getattr(code, task)(**arguments)}
    return measured(getattr(code, task), point, **arguments)


def main():
    name, settings = sys.argv[1], json.loads(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a code prints must not mix with the answers

    def answer(content):
        print(json.dumps(content), file=answers, flush=True)

    try:
        start = measured(CODES[name], settings)
    except Exception as error:
        answer({"error": f"{name} cannot start: {type(error).__name__}: {error}"})
        return
    code = start.pop("value")
    answer({"import": start["wall"]})
    for line in sys.stdin:
        try:
            reply = respond(code, **json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        answer(reply | {"peak_memory": peak_memory()})


if __name__ == "__main__":
    main()
