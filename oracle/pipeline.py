"""boltzax stage by stage against CLASS: each fed with CLASS's output of the stage before, and the chain as a whole.

`Programs` holds one compiled program for each stage; `compare` runs them and returns a `Curve` for each quantity.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_interp_spline

import boltzax
from boltzax.errors import on_error_mode
from boltzax.grids import make_grid
from boltzax.perturbations.layout import layout
from oracle import feeding
from oracle import reference as ref
from oracle import runs as finished
from oracle.compare import cl_error

K_TARGETS = (1e-3, 0.01, 0.05, 0.1, 0.2)  # wavenumbers of the perturbations [1/Mpc]: the solved modes nearest to them
STAGES = (
    "background",
    "thermodynamics",
    "perturbations",
    "sources",
    "unlensed C_l",
    "C_l^phiphi",
    "lensed C_l",
    "P(k)",
)


class Curve(NamedTuple):
    """Errors of one quantity: at x, of the stage alone (fed with CLASS) and of the chain of stages (None: not run)."""

    stage: str
    quantity: str
    axis: str
    x: np.ndarray
    own: np.ndarray
    chain: np.ndarray | None


def _module(name: str) -> Any:
    return importlib.import_module(f"boltzax.{name}")


def _quiet(function: Callable) -> Callable:
    """jit of a stage as `boltzax.solve` runs it: what fails becomes NaN."""

    @jax.jit
    def program(*arguments):
        with on_error_mode("nan"):
            return function(*arguments)

    return program


@dataclass(frozen=True)
class Programs:
    """One compiled program for each stage, looked up by name in boltzax's modules when it is first used.

    A program that was used is kept: after a change of boltzax in a running Python make new Programs, or `renewed` ones.
    """

    outputs: boltzax.Outputs
    precision: boltzax.Precision
    n_ncdm: int
    shared: dict[str, Any] = field(default_factory=dict, compare=False)

    def renewed(self, *stages: str) -> "Programs":
        """The same with the programs of these stages compiled anew."""
        kept = {name: program for name, program in self.shared.items() if name not in stages}
        return Programs(self.outputs, self.precision, self.n_ncdm, kept)

    def __getattr__(self, name: str) -> Callable:
        builders = {
            "background": lambda: _module("background").background,
            "thermodynamics": lambda: _module("thermo").thermodynamics,
            "perturbations": lambda: self._perturbations,
            "sources": lambda: self._sources,
            "spectra": lambda: self._spectra,
            "lensing": lambda: partial(_module("spectra.lensing").lens, l_max=self.outputs.l_max),
            "matter": lambda: self._matter,
        }
        if name not in builders:
            raise AttributeError(name)
        if name not in self.shared:
            self.shared[name] = _quiet(builders[name]())
        return self.shared[name]

    @cached_property
    def grid(self) -> Any:
        """The nodes of boltzax's pipeline."""
        return make_grid(self.precision, self.outputs)

    def _perturbations(self, bg, th):
        table = _module("solve").history(bg, th)
        lay = layout(self.precision, self.n_ncdm)
        run = _module("perturbations.integrate").integrate
        return table, run(lay, bg, table, self.grid.plan, self.precision.block)

    def _sources(self, bg, th, table, trajectory):
        module = _module("sources")
        return module.sources(self.grid, bg, th, module.step_fields(bg, table, self.grid.plan, trajectory))

    def _spectra(self, cosmo, bg, th, src):
        return _module("solve").spectra(cosmo, bg, th, src, self.outputs, self.precision)

    def _matter(self, cosmo, bg, src, k):
        matter = _module("spectra.matter").matter_power(self.grid, bg, src)
        primordial = 2.0 * jnp.pi**2 / k**3 * _module("spectra.primordial").curvature_power(cosmo, k)
        x = [bg.conformal_time(-jnp.log1p(jnp.asarray(z))) / bg.tau_0 for z in ref.Z_PK]
        return jnp.stack([primordial * matter.delta(k, xi) ** 2 for xi in x])


# -- the comparison ----------------------------------------------------------------------------------------------------


def chosen_modes(grid: Any, tau_0: float) -> list[int]:
    """The solved modes nearest to K_TARGETS."""
    k = grid.y_modes / tau_0
    return sorted({int(np.argmin(np.abs(np.log(k / target)))) for target in K_TARGETS})


def class_run(
    point: Mapping[str, Any], programs: Programs, changes: Mapping[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """CLASS's stages at a point, made for these programs; from the cache of `oracle.reference`.

    changes: other settings of CLASS than those of `oracle.feeding.settings`.
    """
    tau_0 = feeding.conformal_age(point)
    k = programs.grid.y_modes / tau_0
    k_output = tuple(float(k[i]) for i in chosen_modes(programs.grid, tau_0))
    y_max = float(programs.grid.y_modes[programs.grid.n_cmb - 1])
    settings = feeding.settings(point, programs.outputs.l_max, programs.outputs.k_max, y_max, k_output)
    return finished.cached("pipeline", settings | (changes or {}), feeding.class_stages)


def compare(point: Mapping[str, Any], programs: Programs, stages: Mapping[str, np.ndarray]) -> list[Curve]:
    """Every curve, in the order of the pipeline; stages: what `class_run` gives for the same point."""
    cosmo = boltzax.Cosmology(**point).checked()
    own_bg = programs.background(cosmo)
    fed_bg = feeding.tabulated_background(stages, own_bg)
    tau_0 = float(fed_bg.tau_0)
    fed_th = feeding.tabulated_thermodynamics(stages, float(cosmo.T_cmb), tau_0)
    own_th, alone_th = (programs.thermodynamics(cosmo, bg) for bg in (feeding.as_tabulated(own_bg), fed_bg))
    chains = []
    for bg, th in ((fed_bg, fed_th), (feeding.as_tabulated(own_bg), own_th)):
        table, trajectory = programs.perturbations(bg, th)
        chains.append((bg, th, table, trajectory, programs.sources(bg, th, table, trajectory)))
    fed_src = feeding.tabulated_sources(stages, programs.grid, tau_0)
    curves = [*_background(stages, own_bg), *_thermodynamics(stages, alone_th, own_th)]
    curves += _perturbations(stages, programs, chains) + _sources(stages, programs, chains)
    spectra = [programs.spectra(cosmo, fed_bg, fed_th, fed_src)]
    spectra += [programs.spectra(cosmo, chains[1][0], own_th, chains[1][4])]
    curves += _spectra(stages, programs, *spectra)
    k = jnp.asarray(stages["k"])
    powers = [programs.matter(cosmo, fed_bg, fed_src, k), programs.matter(cosmo, chains[1][0], chains[1][4], k)]
    errors = [np.abs(np.asarray(p) / stages["pk"] - 1.0).max(axis=0) for p in powers]
    return [*curves, Curve("P(k)", "P(k)", "k [h/Mpc]", ref.K_H[: len(k)], *errors)]


def _background(stages: Mapping[str, np.ndarray], bg: Any) -> list[Curve]:
    rows = np.unique(np.linspace(0, len(stages["bg_z"]) - 1, 1500).astype(int))
    z = stages["bg_z"][rows]
    rows, z = rows[z < 1e7], z[z < 1e7]
    ln_a = jnp.asarray(-np.log1p(z))
    values = {"H": (bg.hubble(ln_a), "H"), "conformal time": (bg.conformal_time(ln_a), "tau")}
    values["comoving sound horizon"] = (bg.sound_horizon(ln_a), "rs")
    return [
        Curve(
            "background", name, "1 + z", 1.0 + z, error := np.asarray(ours) / stages[f"bg_{theirs}"][rows] - 1.0, error
        )
        for name, (ours, theirs) in values.items()
    ]


def _thermodynamics(stages: Mapping[str, np.ndarray], alone: Any, chain: Any) -> list[Curve]:
    keep = stages["th_z"] < 1e4
    z = stages["th_z"][keep]
    rows = np.unique(np.linspace(0, z.size - 1, 4000).astype(int))
    z = z[rows]
    theirs = {name: stages[f"th_{name}"][keep][rows] for name in ("x_e", "kappa_prime", "g", "T_b", "cb2")}
    states = [th.at(jnp.asarray(-np.log1p(z))) for th in (alone, chain)]
    scale = {"x_e": theirs["x_e"], "T_b": theirs["T_b"], "g": theirs["g"].max()}
    scale["cb2"] = np.maximum(np.abs(theirs["cb2"]), 4.6e-14 * theirs["T_b"])  # of atoms; it passes through zero
    names = {"x_e": "x_e", "g": "g / maximum", "T_b": "T_b", "cb2": "c_b^2"}
    return [
        Curve(
            "thermodynamics",
            label,
            "1 + z",
            1.0 + z,
            *((np.asarray(getattr(s, n)) - theirs[n]) / scale[n] for s in states),
        )
        for n, label in names.items()
    ]


def _fields(programs: Programs, chain: tuple, mode: int, tau: np.ndarray) -> dict[str, np.ndarray]:
    """A mode of boltzax at times tau [Mpc], under CLASS's names."""
    bg, _, table, out, _ = chain
    plan = programs.grid.plan
    rows, lane = plan.mode_start[mode] + np.arange(plan.mode_steps[mode]), plan.mode_lane[mode]
    out = jax.tree.map(lambda v: np.asarray(v)[rows][..., lane], out)
    x = plan.x[rows, lane] + plan.h[rows, lane]
    k, own_tau = float(programs.grid.y_modes[mode] / bg.tau_0), x * float(bg.tau_0)
    ln_a, ln_aH = np.asarray(table(jnp.log(jnp.asarray(x))))[:, :2].T
    (eta, delta_cdm, delta_b, theta_b), (h, eta_prime) = out.fluid.T, out.metric.T
    aH, alpha = np.exp(ln_aH), (h + 6.0 * eta_prime) / (2.0 * k**2)
    fields = {"delta_cdm": delta_cdm, "delta_b": delta_b, "theta_b": theta_b, "delta_g": out.f0, "pi": out.pi}
    fields |= {"phi": eta - aH * alpha, "psi": eta - aH * alpha - 4.5 * out.shear / k**2}
    if bg.M_ncdm.shape[0] == 1:
        a = np.exp(ln_a)
        fields["delta_ncdm"] = out.delta_ncdm / (a**2 * np.asarray(bg.rho_ncdm(jnp.asarray(a))[0])[:, 0])
    return {n: make_interp_spline(np.log(own_tau), v, k=5)(np.log(tau)) for n, v in fields.items()}


_REACH = 25.0  # largest k tau at which the other fields are compared: beyond, the ends of CLASS's hierarchies show
_EVERYWHERE = ("delta_cdm", "delta_b", "phi", "psi")  # the others while radiation is resolved


def _perturbations(stages: Mapping[str, np.ndarray], programs: Programs, chains: list[tuple]) -> list[Curve]:
    """Largest error of each field at each wavenumber, over its largest value there."""
    found: dict[str, list] = {}
    for i, k in enumerate(stages["pt_k"]):
        rows = {n.split("_", 1)[1]: v for n, v in stages.items() if n.startswith(f"pt{i}_")}
        tau = rows["tau [Mpc]"]
        keep = (tau > 10.0 * tau[0]) & (tau < 0.999 * tau[-1])
        near = k * tau[keep] < _REACH
        theirs = {n: rows[n][keep] for n in ("delta_cdm", "delta_b", "theta_b", "delta_g", "phi", "psi")}
        theirs["pi"] = (2.0 * rows["shear_g"] + rows["G_g_0"] + rows["G_g_2"])[keep]
        if "delta_ncdm[0]" in rows:
            theirs["delta_ncdm"] = rows["delta_ncdm[0]"][keep]
        mode = int(np.argmin(np.abs(programs.grid.y_modes / float(chains[0][0].tau_0) - k)))
        ours = [_fields(programs, chain, mode, tau[keep]) for chain in chains]
        for name in (n for n in theirs if n in ours[0]):
            use = slice(None) if name in _EVERYWHERE else near
            errors = [np.abs(o[name] - theirs[name])[use].max() / np.abs(theirs[name])[use].max() for o in ours]
            found.setdefault(name, []).append((k, *errors))
    return [Curve("perturbations", n, "k [1/Mpc]", *np.array(rows).T) for n, rows in found.items()]


_LARGE_SCALES = (1e-4, 5e-3)  # wavenumbers [1/Mpc] at which the source of temperature is also compared in the mean


def _sources(stages: Mapping[str, np.ndarray], programs: Programs, chains: list[tuple]) -> list[Curve]:
    """Largest error of each source at each wavenumber, over its largest value there, on the nodes of the time grid.

    The source of temperature on large scales, at every mode: mean error over mean size too, which sees what is small
    but lasts.
    """
    tau_0, grid = float(chains[0][0].tau_0), programs.grid
    labels = {"S_T": "temperature", "S_P": "polarisation", "weyl": "phi + psi", "delta_m": "matter"}
    found = []
    for name, label in labels.items():
        x = grid.x_late if name == "delta_m" else grid.x
        inside = (x * tau_0 > max(240.0, stages["src_tau"][0])) & (x < 0.98)
        modes = [int(np.argmin(np.abs(grid.y_modes / tau_0 - k))) for k in stages["pt_k"]]
        theirs = feeding.class_sources(stages, stages["pt_k"], x * tau_0, tau_0)[name]
        errors = []
        for chain in chains:
            ours = np.asarray(getattr(chain[4], name))[modes]
            sign = np.sign(np.sum(ours * theirs, axis=1, keepdims=True)) if name == "delta_m" else 1.0
            errors.append(np.abs(sign * ours - theirs)[:, inside].max(axis=1) / np.abs(theirs[:, inside]).max(axis=1))
        found.append(Curve("sources", label, "k [1/Mpc]", stages["pt_k"], *errors))
    return [*found, _large_scales(stages, grid, tau_0, chains)]


def _large_scales(stages: Mapping[str, np.ndarray], grid: Any, tau_0: float, chains: list[tuple]) -> Curve:
    k = grid.y_modes[: grid.n_cmb] / tau_0
    modes = np.flatnonzero((k > _LARGE_SCALES[0]) & (k < _LARGE_SCALES[1]))
    inside = (grid.x * tau_0 > max(240.0, stages["src_tau"][0])) & (grid.x < 0.98)
    weight = grid.x_weight * inside
    theirs = feeding.class_sources(stages, k[modes], grid.x * tau_0, tau_0)["S_T"]
    errors = [np.abs(np.asarray(c[4].S_T)[modes] - theirs) @ weight / (np.abs(theirs) @ weight) for c in chains]
    return Curve("sources", "temperature, large scales", "k [1/Mpc]", k[modes], *errors)


def _spectra(stages: Mapping[str, np.ndarray], programs: Programs, fed: tuple, chain: tuple) -> list[Curve]:
    """Unlensed C_l and C_l^phiphi from CLASS's sources, lensed C_l from CLASS's unlensed ones; and the chain."""
    l_max = programs.outputs.l_max
    ell = np.arange(2, l_max + 1)
    raw = {x: stages[f"unlensed_{x}"][: l_max + 1] for x in ("tt", "te", "ee", "pp")}
    lensed = {x: stages[f"lensed_{x}"] for x in ("tt", "te", "ee", "bb")}
    alone = programs.lensing(*(jnp.asarray(stages[f"unlensed_{x}"]) for x in ("tt", "te", "ee", "pp")))
    arrays = lambda cl, names: {x: np.asarray(getattr(cl, x)) for x in names}
    sides = (arrays(fed[0], raw), arrays(chain[0], raw))
    lensed_sides = (arrays(alone, lensed), arrays(chain[1], lensed))
    curves = [
        Curve("C_l^phiphi" if x == "pp" else "unlensed C_l", x, "l", ell, *(cl_error(x, s, raw)[2:] for s in sides))
        for x in ("tt", "ee", "te", "pp")
    ]
    return curves + [
        Curve("lensed C_l", x, "l", ell, *(cl_error(x, s, lensed)[2:] for s in lensed_sides))
        for x in ("tt", "ee", "te", "bb")
    ]
