"""Nonlinear corrections against CLASS and CAMB with the same method: `python -m oracle.nonlinear`.

Five comparisons, each with its own question. "random points": P(k) of `solve` against CLASS at reference settings,
anywhere in the prior of the sweep; "end to end": the same at two known points, CAMB beside it; "method": CLASS's linear
spectrum goes in, so that only the fit is judged; "curved": the same with CAMB's; "lensing": C_l^phiphi over that of
linear theory, in boltzax and in CLASS. CLASS takes potentials as linear from the first redshift at which the nonlinear
scale is beyond its k_max: to compare phiphi to 1e-3 it needs k_max = 300/Mpc (with 10/Mpc it is 1e-2 too low at l =
2500), and P(k) at z = 3 needs 40/Mpc where sigma8 is low (with 12/Mpc halofit is off by 5e-2 and HMcode left out).

--update-docs rewrites the tables of docs/nonlinear.md; --write-table makes tests/reference/nonlinear_class.npz.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_interp_spline

import boltzax
from boltzax.compat_settings import NONLINEAR_SETTINGS
from boltzax.precision import NONLINEAR
from boltzax.spectra.nonlinear.growth import growth
from boltzax.spectra.nonlinear.halofit import halofit
from boltzax.spectra.nonlinear.hmcode import LOG10_T_AGN, hmcode
from boltzax.spectra.nonlinear.linear import LinearPower, epoch
from oracle import codes, prior
from oracle import reference as ref
from oracle import runs as finished
from oracle.docs import DOCS, update_docs
from oracle.files import save_npz
from oracle.progress import progress
from oracle.workers import use_compilation_cache

POINTS = ("fiducial", "massless", "m_ncdm_030")
#: against CAMB: CLASS (3.4.1) counts curvature as matter in HMcode's growth
CURVED = {Omega_k: ref.POINTS["massless"] | {"Omega_k": Omega_k} for Omega_k in (0.0, 0.05, -0.05)}
Z = (0.0, 1.0, 3.0)
L_MAX = 2500
TABLE = ref.REFERENCE_DIR / "nonlinear_class.npz"
FEEDBACK = ("log10T_heat_hmcode",)  # parameters that hmcode2020_feedback alone has
K_BANDS = ((1e-3, 0.1), (0.1, 1.0), (1.0, 5.0))  # h/Mpc
L_BANDS = ((2, 199), (200, 999), (1000, 1999), (2000, L_MAX))
_LN_K = np.linspace(np.log(2e-5), np.log(29.0), 560)  # of the linear spectra that go into the fits, 1/Mpc
_SOLVED, _BEYOND = 500, 400

METHODS: dict[str, dict[str, Any]] = {
    name: words | ({"log10T_heat_hmcode": LOG10_T_AGN} if "feedback" in name else {})
    for name, words in NONLINEAR_SETTINGS.items()
}
CAMB_NAMES = {"halofit": "takahashi", "hmcode2020": "mead2020", "hmcode2020_feedback": "mead2020_feedback"}
# what both spectra of a ratio have in common need not be better than this
LENSING = {"k_per_decade_for_pk": 30, "l_linstep": 25, "l_logstep": 1.05, "l_switch_limber": 40,
           "k_max_tau0_over_l_max": 2.3, "perturbations_sampling_stepsize": 0.05, "q_logstep_limber": 1.01}  # fmt: skip


# -- CLASS and CAMB ----------------------------------------------------------------------------------------------------


def class_power(point: Mapping[str, Any], method: str, precise: bool) -> dict[str, np.ndarray]:
    """Linear (m and cb) and nonlinear P [z, k] in Mpc^3 at exp(_LN_K); precise: at the settings of the reference."""
    settings = ref.without_spectra(ref.class_settings(point, "reference" if precise else "default"))
    settings |= METHODS[method] | {name: point[name] for name in FEEDBACK if name in point}
    # beyond 12/Mpc its steps in time fail with massive neutrinos that stay no fluid for so long
    k_max = 12.0 if precise and point["m_ncdm"] else 40.0
    settings |= {"P_k_max_1/Mpc": k_max, "z_max_pk": 3.5}
    if precise:  # the default: at the reference's, five times as dense, HMcode has bumps in z (docs/nonlinear.md)
        settings["perturbations_sampling_stepsize"] = 0.1
    settings.pop("z_pk", None)
    return finished.cached("nonlinear", settings, _class_power)


def _class_power(settings) -> dict[str, np.ndarray]:
    with ref.class_run(settings) as code:
        k = np.exp(_LN_K)
        k = k[k < settings["P_k_max_1/Mpc"]]
        read = lambda function: np.array([[function(x, z) for x in k] for z in Z])
        linear = read(code.pk_lin)
        cb = read(code.pk_cb_lin) if settings["N_ncdm"] else linear
        return {"k": k, "linear": linear, "cb": cb, "nonlinear": read(code.pk)}


def class_lensing(point: str, method: str | None) -> np.ndarray:
    """C_l^phiphi for l = 0..L_MAX."""
    settings = {**ref.OUTPUT, **ref.class_parameters(ref.POINTS[point])} | LENSING
    settings |= {"output": "tCl,lCl", "l_max_scalars": L_MAX + 100, "P_k_max_1/Mpc": 300.0}
    settings.pop("z_pk")
    settings["output"] += ",mPk"
    settings |= METHODS[method] if method else {}

    def run(settings):
        with ref.class_run(settings) as code:
            return {"pp": code.raw_cl(L_MAX)["pp"]}

    return finished.cached("nonlinear_pp", settings, run)["pp"]


def camb_power(point: Mapping[str, Any], method: str) -> dict[str, np.ndarray]:
    """Linear and nonlinear P [z, k] in Mpc^3 at exp(_LN_K)."""
    codes.require("camb")
    import camb

    def run(settings):
        parameters = camb.CAMBparams()
        others = ("As", "ns", "version")
        parameters.set_cosmology(**{k: v for k, v in settings.items() if k not in others})
        parameters.InitPower.set_params(As=settings["As"], ns=settings["ns"])
        parameters.set_matter_power(redshifts=sorted(Z, reverse=True), kmax=30.0)
        parameters.set_accuracy(AccuracyBoost=1.5)
        parameters.NonLinearModel.set_params(halofit_version=settings["version"], HMCode_logT_AGN=LOG10_T_AGN)
        results = camb.get_results(parameters)
        k, out = np.exp(_LN_K), {}
        for name, nonlinear in (("linear", False), ("nonlinear", True)):
            power = results.get_matter_power_interpolator(nonlinear=nonlinear, hubble_units=False, k_hunit=False)
            out[name] = np.array([power.P(z, k) for z in Z])
        return out | {"k": k}

    settings = codes.camb_settings(point) | {"version": CAMB_NAMES[method]}
    found = finished.cached("nonlinear_camb", settings, run, version=str(camb.__version__))
    return found | {"cb": found["linear"]}  # of massless neutrinos, where it is asked for


# -- boltzax -----------------------------------------------------------------------------------------------------------


def fed(table: dict[str, np.ndarray], n_s: float) -> LinearPower:
    """Linear spectra [z, k] in the form that the fits read, continued as `linear_power` continues its own."""
    ln_k = np.log(table["k"])
    nodes = np.linspace(ln_k[0], np.log(20.0), _SOLVED)
    step = nodes[1] - nodes[0]
    k = np.exp(nodes[0] + step * np.arange(_SOLVED + _BEYOND))
    primordial = k ** (n_s - 1.0)

    def extend(power):
        inside = make_interp_spline(ln_k, np.log(power * table["k"] ** 3 / (2.0 * np.pi**2)), k=5, axis=1)(nodes)
        delta = np.sqrt(np.exp(inside) / primordial[:_SOLVED])
        slope = (delta[:, -1:] - delta[:, -11:-10]) / 10
        beyond = delta[:, -1:] + slope * np.arange(1, _BEYOND + 1)
        return jnp.asarray(primordial * np.concatenate([delta, beyond], axis=1) ** 2)

    m, cb = extend(table["linear"]), extend(table["cb"])
    return LinearPower(jnp.broadcast_to(k, m.shape), m, cb, _SOLVED)


@partial(jax.jit, static_argnames=("method", "solved"))
def _method(method, solved, arrays, background, cosmo):
    grown = growth(background)

    def at(k, m, cb, z):
        linear, universe = LinearPower(k, m, cb, solved), epoch(background, cosmo, 1.0 / (1.0 + z))
        if method == "halofit":
            return halofit(linear, universe)[0]
        return hmcode(linear, universe, grown, LOG10_T_AGN if method == "hmcode2020_feedback" else None)[0]

    return jax.vmap(at)(*arrays, jnp.array(Z))


def method_errors(point: Mapping[str, Any], method: str, table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """k [h/Mpc] and relative errors [z, k] of a fit that reads the linear spectrum of a table."""
    cosmo = boltzax.Cosmology(**point)
    linear = fed(table, float(cosmo.n_s))
    found = _method(method, linear.solved, linear[:3], boltzax.background.background(cosmo), cosmo)
    k = np.asarray(linear.k[0, :_SOLVED])
    expected = np.exp(make_interp_spline(np.log(table["k"]), np.log(table["nonlinear"]), k=5, axis=1)(np.log(k)))
    return k / float(cosmo.h), np.asarray(found) * (2.0 * np.pi**2 / k**3) / expected - 1.0


def compared(results, table: dict[str, np.ndarray], response: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """k [h/Mpc] and relative errors [z, k] of `Results.pk` to 5 h/Mpc; response: of its ratio to linear theory."""
    h = float(results.cosmology.h)
    chosen = (table["k"] > 1e-4) & (table["k"] < 5.0 * h)
    k, expected = table["k"][chosen], table["nonlinear"][:, chosen]
    found = np.asarray(results.pk(k, np.array(Z)))
    if response:
        found, expected = found / np.asarray(results.pk_lin(k, np.array(Z))), expected / table["linear"][:, chosen]
    return k / h, found / expected - 1.0


# -- tables ------------------------------------------------------------------------------------------------------------


def _row(label: str, x: np.ndarray, error: np.ndarray, bands) -> str:
    cells = [f"{np.abs(error[(x >= low) & (x <= high)]).max():.1e}" for low, high in bands]
    return f"| {label} | {' | '.join(cells)} |"


def _table(head: str, bands, unit: str) -> list[str]:
    names = " | ".join(f"{unit} {low:g}-{high:g}" for low, high in bands)
    return [f"| {head} | {names} |", "|---" * (1 + len(bands)) + "|"]


def power_tables() -> list[str]:
    """Errors of P(k), the method alone and end to end."""
    alone, whole, camb = ([f"**{title}**", "", *_table("method, point, z", K_BANDS, "k [h/Mpc]")] for title in (
        "The fit alone: CLASS's linear spectrum goes in",
        "End to end against CLASS at reference settings",
        "End to end against CAMB (its linear spectrum differs by 8e-4)",
    ))  # fmt: skip
    for point in POINTS:
        results = boltzax.solve(boltzax.Cosmology(**ref.POINTS[point]), boltzax.Outputs(l_max=2000, k_max=15.0))
        for method in NONLINEAR:
            table = class_power(ref.POINTS[point], method, precise=False)
            x, error = method_errors(ref.POINTS[point], method, table)
            alone += [_row(f"{method}, {point}, {z:g}", x, e, K_BANDS) for z, e in zip(Z, error, strict=True)]
            if point == "m_ncdm_030":
                continue
            nonlinear = _with(results, method)
            reference = class_power(ref.POINTS[point], method, precise=True)
            for lines, table in ((whole, reference), (camb, camb_power(ref.POINTS[point], method))):
                x, error = compared(nonlinear, table)
                lines += [_row(f"{method}, {point}, {z:g}", x, e, K_BANDS) for z, e in zip(Z, error, strict=True)]
    return [*alone, "", *whole, "", *camb]


def curved_table() -> list[str]:
    """Errors of the fits in curved space, beside those in flat space, fed with CAMB's linear spectrum."""
    lines = ["**The fit alone in curved space: CAMB's linear spectrum goes in**", ""]
    lines += _table("method, Omega_k, z", K_BANDS, "k [h/Mpc]")
    for method in NONLINEAR:
        for Omega_k, point in CURVED.items():
            x, error = method_errors(point, method, camb_power(point, method))
            lines += [_row(f"{method}, {Omega_k}, {z:g}", x, e, K_BANDS) for z, e in zip(Z, error, strict=True)]
    return lines


def draw(index: int, seed: int) -> dict[str, Any]:
    """LCDM from the prior of the sweep, with massless neutrinos, and a strength of feedback.

    With massive ones CLASS's own linear spectrum is no reference: for 0.54 eV its fluid, which no run can do without at
    large k, leaves 3.6e-3 in P_m beyond k = 0.3 h/Mpc (2e-4 in P_cb), and that leaves 3e-3 in halofit.
    """
    point = prior.massless(prior.draw(index, seed))
    strength = np.random.default_rng([seed, index, 1]).uniform(7.6, 8.0)
    return point | {"log10T_heat_hmcode": float(strength)}


def random_table(points: int, seed: int) -> list[str]:
    """The largest errors of P(k) at random points, end to end against CLASS at reference settings."""
    title = f"End to end at {points} random points against CLASS at reference settings: the largest errors"
    lines = [f"**{title}**", "", *_table("method, z", K_BANDS, "k [h/Mpc]")]
    found: dict[str, list] = {method: [] for method in NONLINEAR}
    with progress("runs", points * len(NONLINEAR)) as tell:
        for index in range(points):
            point = draw(index, seed)
            results = boltzax.solve(boltzax.Cosmology(**point), boltzax.Outputs(l_max=2000, k_max=40.0))
            for method in NONLINEAR:
                known = {k: v for k, v in point.items() if "feedback" in method or k not in FEEDBACK}
                x, error = compared(_with(results, method), class_power(known, method, precise=True))
                bands = [np.abs(error[:, (x >= low) & (x <= high)]).max(axis=1) for low, high in K_BANDS]
                found[method].append(bands)
                tell(f"{index}, {method}: {np.max(bands):.1e}", True)
    for method, errors in found.items():
        largest = np.max(errors, axis=0).T  # [z, band]
        lines += [
            f"| {method}, {z:g} | {' | '.join(f'{e:.1e}' for e in row)} |" for z, row in zip(Z, largest, strict=True)
        ]
    return lines


def _with(results, method: str):
    """The same results, whose `pk` uses a method."""
    fields = {name: getattr(results, name) for name in results.__dataclass_fields__}
    return type(results)(**(fields | {"nonlinear": method}))


def lensing_table() -> list[str]:
    """Errors of phiphi with corrections over phiphi without."""
    lines = ["**C_l^phiphi with corrections over that without, against CLASS**", ""]
    lines += _table("method", L_BANDS, "l")
    ell = np.arange(2, L_MAX + 1)
    pp = {}
    for method in (None, *NONLINEAR):
        results = boltzax.solve(boltzax.Cosmology(**ref.POINTS["massless"]), boltzax.Outputs(nonlinear=method))
        pp[method] = np.asarray(results.unlensed_cl.pp)[2:], class_lensing("massless", method)[2:]
    for method in NONLINEAR:
        (ours, theirs), (linear, theirs_linear) = pp[method], pp[None]
        lines.append(_row(method, ell, (ours / linear) / (theirs / theirs_linear) - 1.0, L_BANDS))
    return lines


def write_table() -> None:
    """tests/reference/nonlinear_class.npz: P(k) and the lensing ratio, in single precision where that is enough."""
    arrays: dict[str, np.ndarray] = {}
    for point in POINTS:
        for method in NONLINEAR:
            table = class_power(ref.POINTS[point], method, precise=False)
            arrays |= {f"{point}/{name}": table[name] for name in ("k", "linear", "cb")}
            arrays[f"{point}/{method}"] = (table["nonlinear"] / table["linear"]).astype(np.float32)
    linear = class_lensing("massless", None)
    for method in NONLINEAR:
        arrays[f"pp/{method}"] = (class_lensing("massless", method)[2:] / linear[2:]).astype(np.float32)
    note = {"code": "classy " + finished.class_version(), "made_by": "python -m oracle.nonlinear --write-table", "z": Z,
            "methods": METHODS, "lensing": LENSING, "P_k_max_1/Mpc": {"P(k)": 40.0, "lensing": 300.0}}  # fmt: skip
    save_npz(TABLE, {**arrays, "manifest": np.array(json.dumps(note | {"sha256": finished.content_hash(arrays)}))})
    print(f"{TABLE}: {TABLE.stat().st_size} bytes")


def load_table(point: str, method: str) -> dict[str, np.ndarray]:
    """What `class_power` gives, from the committed table."""
    with np.load(TABLE) as file:
        table = {name: file[f"{point}/{name}"] for name in ("k", "linear", "cb")}
        return table | {"nonlinear": table["linear"] * file[f"{point}/{method}"]}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update-docs", action="store_true", help="rewrite the tables of docs/nonlinear.md")
    parser.add_argument("--points", type=int, default=10, help="random points (default: 10)")
    parser.add_argument("--seed", type=int, default=2026, help="of the random points")
    parser.add_argument("--write-table", action="store_true", help="make the table of the tests and stop")
    options = parser.parse_args(arguments)
    use_compilation_cache()
    codes.require("classy")
    if options.write_table:
        write_table()
        return 0
    tables = random_table(options.points, options.seed), power_tables(), curved_table(), lensing_table()
    text = "\n\n".join("\n".join(lines) for lines in tables)
    print(text)
    if options.update_docs:
        page = DOCS.parent / "nonlinear.md"
        update_docs("nonlinear", f"`python -m oracle.nonlinear --update-docs`\n\n{text}", page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
