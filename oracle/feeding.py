"""CLASS's output of one stage in the form that the next stage of boltzax reads, so that each stage can be judged alone.

One classy run gives everything (`class_stages`): tables of background and thermodynamics, perturbations at chosen
wavenumbers, sources on its own (k, tau), spectra. `tabulated_background`, `tabulated_thermodynamics` and
`tabulated_sources` turn them into what the next stage of boltzax reads; nothing of boltzax's own solution enters.
"""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline, make_interp_spline

import boltzax
from boltzax import constants
from boltzax.background import Background
from boltzax.background.evolution import LN_A_START
from boltzax.numerics.table import UniformTable
from boltzax.solve import homogeneous, inhomogeneous
from boltzax.sources import Sources
from boltzax.thermo import Thermodynamics
from boltzax.thermo.solve import LN_A_START as LN_A_START_THERMO
from oracle import reference as ref

# Good to a few 1e-4 in the perturbations, at a fraction of the reference's cost; feeding makes the later stages
# independent of it. Hierarchies are long and approximations late, as in the reference.
_PRECISION: dict[str, Any] = {
    "l_max_g": 30,
    "l_max_pol_g": 25,
    "l_max_ur": 30,
    "perturbations_sampling_stepsize": 0.03,
    "k_step_super": 0.002,
    "k_step_sub": 0.05,
    "k_per_decade_for_pk": 15,
}
_PRECISION_NCDM: dict[str, Any] = {"l_max_ncdm": 25, "tol_ncdm_synchronous": 1e-5}
_BACKGROUND = {"z": "z", "tau": "conf. time [Mpc]", "H": "H [1/Mpc]", "rs": "comov.snd.hrz.", "t": "proper time [Gyr]"}
_Z_IONIZED = 8000.0  # earlier all is ionized
_SOURCES = ("t0", "t1", "t2", "p", "phi_plus_psi", "delta_m", "delta_cb")


def settings(point: Mapping[str, Any], l_max: int, k_max: float, y_max: float, k_output: tuple[float, ...]) -> dict:
    """All CLASS inputs of the run; y_max: largest k tau_0 at which boltzax solves the primary spectra."""
    found = ref.class_settings(point, "point") | _PRECISION | (_PRECISION_NCDM if point["m_ncdm"] else {})
    top = l_max + found["delta_l_max"]
    return found | {
        "l_max_scalars": l_max,
        "P_k_max_1/Mpc": 1.2 * k_max,
        "k_max_tau0_over_l_max": max(found["k_max_tau0_over_l_max"], 1.15 * y_max / top),
        "k_output_values": ",".join(repr(k) for k in k_output),
        "get_perturbations_in_current_gauge": "yes",
    }


def conformal_age(point: Mapping[str, Any]) -> float:
    """CLASS's conformal age [Mpc], from a run of the background alone."""
    kept = ref.class_parameters(point)
    for primordial in ("ln_A_s_1e10", "n_s", "k_pivot"):
        kept.pop(primordial, None)
    with ref.class_run(kept | {"tol_background_integration": ref.PRECISION["tol_background_integration"]}) as run:
        return float(run.get_current_derived_parameters(["conformal_age"])["conformal_age"])


def class_stages(settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Everything that is compared or fed, as flat arrays: bg_*, th_*, pt_k and pt{i}_*, src_*, lensed_*, unlensed_*."""
    with ref.class_run(settings) as run:
        found = _homogeneous(run)
        k_output = sorted(float(k) for k in settings["k_output_values"].split(","))  # classy returns them sorted
        found["pt_k"] = np.array(k_output)
        for i, rows in enumerate(run.get_perturbations()["scalar"]):
            found |= {f"pt{i}_{name}": values for name, values in rows.items()}
        sources, k, tau = run.get_sources()
        found |= {"src_k": k, "src_tau": tau} | {f"src_{name}": sources[name] for name in _SOURCES if name in sources}
        l_max = settings["l_max_scalars"]
        lensed, raw = run.lensed_cl(l_max), run.raw_cl(l_max + settings["delta_l_max"])
        found |= {f"lensed_{x}": np.array(lensed[x]) for x in ("tt", "te", "ee", "bb")}
        found |= {f"unlensed_{x}": np.array(raw[x]) for x in ("tt", "te", "ee", "pp")}
        found |= {"k": (k_pk := ref.K_H[ref.K_H < 0.9 * settings["P_k_max_1/Mpc"] / settings["h"]] * settings["h"])}
        found["pk"] = np.array([[run.pk_lin(ki, z) for ki in k_pk] for z in ref.Z_PK])
        derived = run.get_current_derived_parameters(["tau_rec", "YHe"])
        found |= {f"derived_{name}": np.array(value) for name, value in derived.items()}
    return found


def _homogeneous(run: Any) -> dict[str, np.ndarray]:
    background, thermo = run.get_background(), run.get_thermodynamics()
    found = {f"bg_{new}": background[old] for new, old in _BACKGROUND.items()}
    found |= {f"bg_{name[3:]}": values for name, values in background.items() if name.startswith("(.)")}
    names = {"z": "z", "tau": "conf. time [Mpc]", "x_e": "x_e", "kappa_prime": "kappa' [Mpc^-1]"}
    names |= {"g": "g [Mpc^-1]", "T_b": "Tb [K]", "cb2": "c_b^2"}
    return found | {f"th_{new}": thermo[old] for new, old in names.items()}


class TabulatedBackground(Background):
    """A Background whose expansion rate is a table of ln H over ln a."""

    expansion: UniformTable = eqx.field(kw_only=True)

    def hubble(self, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
        """Expansion rate H [1/Mpc] in cosmic time."""
        return jnp.exp(self.expansion(jnp.asarray(ln_a))[..., 0])


def _table(x: np.ndarray, *columns: np.ndarray) -> UniformTable:
    return UniformTable(jnp.asarray(x[0]), jnp.asarray(x[1] - x[0]), jnp.asarray(np.stack(columns, axis=-1)))


def as_tabulated(background: Background) -> TabulatedBackground:
    """boltzax's own Background in the same form."""
    x = np.linspace(LN_A_START, 0.0, 2401)
    fields = {name: getattr(background, name) for name in Background.__dataclass_fields__}
    return TabulatedBackground(**fields, expansion=_table(x, np.log(np.asarray(background.hubble(jnp.asarray(x))))))


def tabulated_background(stages: Mapping[str, np.ndarray], own: Background) -> TabulatedBackground:
    """CLASS's background; what the momenta of massive neutrinos follow from (and N_eff) is taken from `own`."""
    ln_a = -np.log1p(stages["bg_z"])
    x = np.linspace(LN_A_START, 0.0, 2401)
    at = lambda values: CubicSpline(ln_a, values)(x)
    today = {name: stages[f"bg_rho_{name}"][-1] for name in ("g", "ur", "b", "cdm", "lambda")}
    tau = stages["bg_tau"]
    return TabulatedBackground(
        H0=jnp.asarray(stages["bg_H"][-1]),
        **{f"rho_{name}": jnp.asarray(value) for name, value in today.items()},
        rho_ncdm_massless=own.rho_ncdm_massless,
        M_ncdm=own.M_ncdm,
        N_eff=own.N_eff,
        tau_0=jnp.asarray(tau[-1]),
        age=jnp.asarray(stages["bg_t"][-1]),
        table=_table(x, at(np.log(tau)), at(np.log(stages["bg_rs"])), at(stages["bg_t"]) / constants.GYR_PER_MPC),
        expansion=_table(x, at(np.log(stages["bg_H"]))),
    )


def tabulated_thermodynamics(stages: Mapping[str, np.ndarray], T_cmb: float, tau_0: float) -> Thermodynamics:
    """CLASS's thermal history; derived parameters that no later stage reads are NaN."""
    z = stages["th_z"]
    order = np.argsort(-z)
    ln_a = -np.log1p(z[order])
    row = lambda name: stages[f"th_{name}"][order]
    x = np.linspace(LN_A_START_THERMO, 0.0, 2876)
    at = lambda values: CubicSpline(ln_a, values)
    ln_kappa_prime = at(np.log(row("kappa_prime")))
    ln_tau = at(np.log(row("tau")))
    rate = at(row("kappa_prime") * row("tau") * ln_tau(ln_a, 1))  # d kappa / d ln a
    kappa = -rate.antiderivative()(x) + rate.antiderivative()(0.0)
    aH = 1.0 / (ln_tau(x, 1) * np.exp(ln_tau(x)))  # d ln a / d tau
    fields = (
        at(row("x_e"))(x),
        1.0 - at(row("T_b") * np.exp(ln_a))(x) / T_cmb,
        ln_kappa_prime(x),
        ln_kappa_prime(x, 1),
    )
    fields = (*fields, kappa, at(row("cb2") * np.exp(ln_a))(x), np.log(aH))
    unread = {name: jnp.asarray(np.nan) for name in Thermodynamics.__dataclass_fields__ if name != "table"}
    known = {"T_cmb": jnp.asarray(T_cmb), "tau_rec": jnp.asarray(float(stages["derived_tau_rec"]))}
    return Thermodynamics(**(unread | known), table=_table(x, *fields))


def with_electrons(th: Thermodynamics, x_e: Callable[[np.ndarray], np.ndarray]) -> Thermodynamics:
    """The thermal history with other free electrons per hydrogen nucleus, a function of z, from `_Z_IONIZED` on.

    Opacity and optical depth follow; temperature, sound speed and derived parameters stay as they are.
    """
    values = np.array(th.table.values)
    x = np.linspace(float(th.table.x0), 0.0, len(values))
    z = np.maximum(np.expm1(-x), 0.0)
    late = z < _Z_IONIZED
    found = values[:, 0].copy()
    found[late] = x_e(z[late])
    ln_kappa_prime = values[:, 2] + np.log(found / values[:, 0])
    rate = CubicSpline(x, np.exp(ln_kappa_prime - values[:, 6])).antiderivative()  # of d kappa / d ln a
    fields = (found, values[:, 1], ln_kappa_prime, CubicSpline(x, ln_kappa_prime)(x, 1), rate(0.0) - rate(x))
    return eqx.tree_at(lambda th: th.table, th, _table(x, *fields, *values[:, 5:].T))


def solve_with_electrons(
    point: Mapping[str, Any], l_max: int, x_e: Callable[[np.ndarray], np.ndarray]
) -> boltzax.Results:
    """`boltzax.solve` at a point, at default precision, with these free electrons (see `with_electrons`)."""
    cosmo = boltzax.Cosmology(**point).checked()
    bg, th = jax.jit(homogeneous)(cosmo)
    return inhomogeneous(cosmo, bg, with_electrons(th, x_e), boltzax.Outputs(l_max=l_max), boltzax.Precision())


def _growth(k: np.ndarray) -> np.ndarray:
    """Roughly how density contrasts grow with k [1/Mpc]; divided by it they can be interpolated where k are few."""
    return k**2 / (1.0 + (k / 0.015) ** 2)


def class_sources(
    stages: Mapping[str, np.ndarray], k: np.ndarray, tau: np.ndarray, tau_0: float
) -> dict[str, np.ndarray]:
    """CLASS's sources at wavenumbers k and times tau, in boltzax's form: S_T, S_P, weyl, delta_m, delta_cb [k, tau].

    S_T = t0 + t1'/k - t2 - 3 (t2 / z)' / k with z = k (tau_0 - tau): derivatives of j_l integrated by parts, and
    CLASS's t2 (3 j_l'' + j_l) / 2 rewritten by the Bessel equation. Zero outside CLASS's range.
    """
    own_k, own_tau = stages["src_k"], stages["src_tau"]
    inside = np.outer((k >= own_k[0]) & (k <= own_k[-1]), (tau >= own_tau[0]) & (tau <= own_tau[-1]))
    k_in, tau_in = np.clip(k, own_k[0], own_k[-1]), np.clip(tau, own_tau[0], own_tau[-1])

    def at(name: str, slope: int = 0) -> np.ndarray:
        in_time = make_interp_spline(own_tau, stages[f"src_{name}"].T, k=5)
        values = (in_time.derivative(slope) if slope else in_time)(tau_in)
        scale = _growth if name.startswith("delta") else np.ones_like
        scaled = values.T / scale(own_k)[:, None]
        return make_interp_spline(np.log(own_k), scaled, k=3)(np.log(k_in)) * scale(k_in)[:, None]

    k_, z = k[:, None], k[:, None] * np.maximum(tau_0 - tau, 1e-6)
    t2 = at("t2")
    S_T = at("t0") + at("t1", 1) / k_ - t2 - 3.0 * (at("t2", 1) / z + t2 * k_ / z**2) / k_
    found = {"S_T": S_T, "S_P": at("p") / np.sqrt(6.0), "weyl": at("phi_plus_psi"), "delta_m": at("delta_m")}
    found["delta_cb"] = at("delta_cb" if "src_delta_cb" in stages else "delta_m")
    return {name: np.where(inside, values, 0.0) for name, values in found.items()}


def tabulated_sources(stages: Mapping[str, np.ndarray], grid: Any, tau_0: float) -> Sources:
    """CLASS's sources on boltzax's modes and time nodes."""
    nodes = class_sources(stages, grid.y_modes / tau_0, grid.x * tau_0, tau_0)
    late = class_sources(stages, grid.y_modes / tau_0, grid.x_late * tau_0, tau_0)
    n = grid.n_cmb
    arrays = (nodes["S_T"][:n], nodes["S_P"][:n], nodes["weyl"], late["delta_m"], late["delta_cb"])
    return Sources(*map(jnp.asarray, arrays))
