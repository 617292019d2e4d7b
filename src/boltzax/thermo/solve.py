"""The thermodynamics stage: from a cosmology and its background to the thermal history."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from boltzax.background.curvature import areal_radius
from boltzax.constants import (
    C_LIGHT,
    G_NEWTON,
    H0_UNIT,
    HE4_TO_H_MASS,
    K_BOLTZMANN,
    M_HYDROGEN,
    MPC,
    OMEGA_GAMMA_PER_T4,
    SIGMA_THOMSON,
)
from boltzax.errors import BoltzaxError, ParameterRangeError, error_if
from boltzax.numerics.fusion import settle
from boltzax.numerics.table import UniformTable, cell_integrals, grid_weights, keep, keep_scalars, slopes
from boltzax.thermo import atomic, recombination, reionization
from boltzax.thermo.bbn import helium_fraction
from boltzax.thermo.collocation import mesh_nodes, on_half_steps
from boltzax.thermo.helium import saha_doubly_ionized, saha_neutral_helium, saha_neutral_hydrogen
from boltzax.thermo.history import Thermodynamics
from boltzax.thermo.hydrogen import T_CMB_FACTOR, T_CMB_REFERENCE, swift_departures
from boltzax.thermo.injection import heating, injected
from boltzax.thermo.roots import newton

LN_A_START = -11.5  # the table begins here (z = 1e5): helium doubly ionized to 1e-9
_LN_A_MESH = -8.3  # equations are integrated from here (z = 4000), in equilibrium to 1e-8
_LN_A_HELIUM = -7.0  # helium stays as it is from here
_LN_A_EPOCHS = -7.0  # last scattering and drag are near
_EPOCH_STEPS = 10
_PER_SECOND = C_LIGHT / MPC  # 1/Mpc to 1/s
_N_H_UNIT = 3.0 * (H0_UNIT * _PER_SECOND) ** 2 / (8.0 * np.pi * G_NEWTON * M_HYDROGEN)  # baryons, omega_b = 1 [1/m^3]


class _Grid:
    """The uniform table, and the mesh of steps two cells wide that covers its end (all static)."""

    def __init__(self, n: int, model: str):
        self.ln_a = np.linspace(LN_A_START, 0.0, n)
        self.dx = -LN_A_START / (n - 1)
        n_steps = int(np.ceil(-_LN_A_MESH / (2.0 * self.dx)))
        self.first = n - 1 - 2 * n_steps  # where the mesh starts
        step = 2.0 * self.dx
        x_start = -n_steps * step
        self.mesh = recombination.Mesh(step, int((_LN_A_HELIUM - x_start) / step), model)
        self.nodes = mesh_nodes(x_start, step, n_steps)
        self.n_late = int(-reionization.LN_A_LATE / step)  # steps over reionization


def _expansion(background, grid: _Grid):
    """H on the grid and at the nodes [3, n]; the last node of a step is a point of the grid."""
    n = len(grid.ln_a)
    H = background.hubble(jnp.asarray(np.concatenate([grid.ln_a, *grid.nodes[:2]])))
    on_grid, inner = H[:n], H[n:].reshape(2, -1)
    return on_grid, settle(jnp.concatenate([inner, on_grid[None, grid.first + 2 :: 2]]))


def _recombine(grid: _Grid, cosmo, H, H_nodes, T_cmb, n_H0, **others):
    """Conditions at the nodes, neutral fractions and 1 - T_b/T_r there, without reionization; injected energy."""
    x, x_start = grid.nodes, grid.ln_a[grid.first]
    n_H_start, H_start = keep_scalars(1e-6 * n_H0 * np.exp(-3.0 * x_start), H[grid.first] * _PER_SECOND)
    energy = injected(cosmo, grid.ln_a, H * _PER_SECOND, n_H0)
    if energy is not None:
        others["injected"] = injected(cosmo, grid.nodes, H_nodes * _PER_SECOND, n_H0)
        others["injected_start"] = energy[grid.first]
    conditions = recombination.Conditions(
        ln_a=jnp.asarray(x),
        T=T_cmb * np.exp(-x),
        n_H=1e-6 * n_H0 * np.exp(-3.0 * x),
        H=H_nodes * _PER_SECOND,
        T_start=T_cmb * np.exp(-x_start),
        n_H_start=n_H_start,
        H_start=H_start,
        **others,
    )
    history, change = recombination.solve(grid.mesh, conditions)
    n_H0 = error_if(n_H0, ~(change < 1e-6), "the recombination history did not converge", BoltzaxError)
    return conditions, history, n_H0, energy


def _on_grid(grid: _Grid, conditions, history, H, T_cmb, n_H0, energy):
    """Electrons left by recombination and 1 - T_b/T_r on the whole grid; equilibrium before the mesh."""
    f_He, constants, first = conditions.f_He, conditions.constants, grid.first
    ln_a = jnp.asarray(grid.ln_a)
    T, n_H = T_cmb * jnp.exp(-ln_a), 1e-6 * n_H0 * jnp.exp(-3.0 * ln_a)
    like = atomic.temperature(constants, T), atomic.density(constants, n_H)
    early = like[0][:first], like[1][:first], f_He
    saha = saha_neutral_hydrogen(*early), saha_neutral_helium(*early)
    start_H, start_He, start_d = recombination.start_values(conditions)
    x_1 = jnp.concatenate([saha[0], on_half_steps(start_H, history.hydrogen)])
    neutral = jnp.concatenate([saha[1], on_half_steps(start_He, history.helium)])
    x_e = 1.0 - x_1 + f_He * (1.0 - neutral) + saha_doubly_ionized(*like, f_He)
    strength = atomic.compton(constants, ln_a[:first])
    gamma = recombination.coupling(x_e[:first], T[:first], H[:first] * _PER_SECOND, f_He, strength)
    heat = heating(None if energy is None else energy[:first], x_e[:first], T[:first], f_He)
    cooling = jnp.concatenate([(1.0 - heat) / (1.0 + gamma), on_half_steps(start_d, history.cooling)])
    return x_e, cooling


def _reheat(grid: _Grid, conditions, history, model: reionization.Reionization, cooling):
    """1 - T_b/T_r on the grid with the electrons of reionization, Compton coupling only."""
    n = grid.n_late
    names = [name for name in ("ln_a", "T", "H", "injected") if getattr(conditions, name) is not None]
    c = conditions._replace(**{name: getattr(conditions, name)[:, -n:] for name in names})
    x_before = 1.0 - history.hydrogen[:, -n:] + c.f_He * (1.0 - history.helium[:, -n:])
    x_e = x_before + model.added(c.ln_a, x_before)
    start = history.cooling[2, -n - 1]
    late = on_half_steps(start, recombination.matter_cooling(grid.mesh.step, start, c, x_e))
    return jnp.concatenate([cooling[: -late.shape[0]], late])


def _reionize(cosmo, f_He, ln_a, x_before, rate) -> tuple[reionization.Reionization, Float[Array, ""]]:
    """The reionization model with its redshift, and its optical depth, from whichever of the two is given."""
    first = int(np.searchsorted(ln_a, reionization.LN_A_LATE))
    late = reionization.late_history(jnp.asarray(ln_a[first:]), x_before[first:], rate[first:])
    model = reionization.Reionization(
        z_reio=jnp.zeros(()) if cosmo.z_reio is None else reionization.check_redshift(cosmo),
        exponent=jnp.asarray(cosmo.reionization_exponent),
        width=jnp.asarray(cosmo.reionization_width),
        z_helium=jnp.asarray(cosmo.helium_fullreio_redshift),
        width_helium=jnp.asarray(cosmo.helium_fullreio_width),
        f_He=f_He,
    )
    if cosmo.z_reio is None:
        return reionization.find_redshift(model, late, cosmo.tau_reio), jnp.asarray(cosmo.tau_reio)
    return model, reionization.optical_depth(model, late)


def _sound_speed(x_e, cooling, T, gamma, heat, YHe):
    """cb2 = k_B T_b / (mu c^2) (1 - (1/3) d ln T_b / d ln a), 1/mu counting atoms, ions and electrons.

    gamma, heat: Compton coupling and heating by dark matter (see `recombination.matter_cooling`).
    """
    slope = -1.0 - (1.0 - heat - (1.0 + gamma) * cooling) / (1.0 - cooling)
    per_mass = 1.0 + (1.0 / HE4_TO_H_MASS - 1.0) * YHe + x_e * (1.0 - YHe)
    return K_BOLTZMANN / (C_LIGHT**2 * M_HYDROGEN) * per_mass * T * (1.0 - cooling) * (1.0 - slope / 3.0)


def _depth_from_today(rates, dx):
    """Integral over ln a from every grid point to the last."""
    sums = jnp.cumsum(cell_integrals(rates, dx)[:, ::-1], axis=1)[:, ::-1]
    return jnp.pad(sums, ((0, 0), (0, 1)))


def _helium_fraction(cosmo, background, constants):
    """YHe as given or from nucleosynthesis, there in proportion to alpha (CLASS's `bbn_alpha_sensitivity` = 1)."""
    if cosmo.YHe is not None:
        return cosmo.YHe
    YHe = helium_fraction(cosmo.omega_b, background.N_eff)
    return YHe if constants is None else YHe * constants.alpha


def thermodynamics(cosmo, background, n_grid: int = 2876) -> Thermodynamics:
    """Recombination, reionization and matter temperature of `cosmo` on its `background`.

    Hydrogen: HyRec-2 (Lee & Ali-Haimoud 2020, arXiv:2007.14114) or RECFAST 1.5; helium: Switzer & Hirata as in
    HyRec-2, or RECFAST; reionization: Lewis (2008) as in CLASS; definitions of the epochs as in CLASS 3.4.

    Arguments: cosmo with h, omega_b, T_cmb [K], YHe (None: nucleosynthesis), tau_reio or z_reio (the other
    None), reionization_width, reionization_exponent, helium_fullreio_redshift, helium_fullreio_width, recombination;
    background with hubble(ln_a), conformal_time(ln_a), sound_horizon(ln_a), N_eff, K, early_cold; n_grid points in
    ln a from -11.5 to 0. Raises ParameterRangeError for a tau_reio or z_reio that cannot be had, or outside the helium
    table.
    """
    grid = _Grid(n_grid, cosmo.recombination)
    constants = atomic.Constants.of(cosmo)
    YHe = _helium_fraction(cosmo, background, constants)
    T_like = atomic.temperature(constants, cosmo.T_cmb)
    matter = cosmo.omega_b + background.early_cold / H0_UNIT**2
    swift = swift_departures(matter, cosmo.omega_b, YHe, background.N_eff, T_like)
    f_He = YHe / (HE4_TO_H_MASS * (1.0 - YHe))
    n_H0, R_0 = _N_H_UNIT * cosmo.omega_b * (1.0 - YHe), 0.75 * cosmo.omega_b / (OMEGA_GAMMA_PER_T4 * cosmo.T_cmb**4)
    T_cmb = error_if(
        cosmo.T_cmb,
        jnp.abs(jnp.log(T_like / T_CMB_REFERENCE)) > np.log(T_CMB_FACTOR),
        f"T_cmb is more than a factor {T_CMB_FACTOR:g} from {T_CMB_REFERENCE} K, beyond the rates of hydrogen",
        ParameterRangeError,
    )
    YHe, f_He, n_H0, R_0, swift = keep_scalars(YHe, f_He, n_H0, R_0, swift)
    H, H_nodes = _expansion(background, grid)
    others = dict(f_He=f_He, swift=swift, constants=constants)
    conditions, history, n_H0, energy = _recombine(grid, cosmo, H, H_nodes, T_cmb, n_H0, **others)

    a = np.exp(grid.ln_a)
    per_electron = n_H0 * SIGMA_THOMSON * MPC * a**-2.0 * atomic.thomson(constants, grid.ln_a)  # kappa' / x_e
    H, rate = keep(H, per_electron / (a * H))
    x_before, cooling = keep(*_on_grid(grid, conditions, history, H, T_cmb, n_H0, energy))
    model, tau_reio = _reionize(cosmo, f_He, grid.ln_a, x_before, rate)
    added, cooling = keep(model.added(grid.ln_a, x_before), _reheat(grid, conditions, history, model, cooling))
    x_e, reionized = x_before + added, (rate * added) @ (grid_weights(n_grid) * grid.dx)

    gamma = recombination.coupling(x_e, T_cmb / a, H * _PER_SECOND, f_He, atomic.compton(constants, grid.ln_a))
    heat = heating(energy, x_e, T_cmb / a, f_He)
    a_cb2 = a * _sound_speed(x_e, cooling, T_cmb / a, gamma, heat, YHe)
    # 3 rho_b / (4 rho_g) = R_0 a turns the depth of the photons into that of the baryons
    ln_kappa_prime, *rates = keep(jnp.log(per_electron * x_e), rate * x_e, rate * x_e / (R_0 * a))
    kappa, kappa_b = keep(*_depth_from_today(jnp.stack(rates), grid.dx))
    fields = (x_e, cooling, ln_kappa_prime, slopes(ln_kappa_prime, grid.dx), kappa, a_cb2, jnp.log(a * H), kappa_b)
    fields = jnp.stack(keep(*fields), axis=-1)
    x0, dx = jnp.asarray(LN_A_START), jnp.asarray(grid.dx)
    middle = _LN_A_EPOCHS + jnp.log(T_like / cosmo.T_cmb)
    found = _epochs(background, UniformTable(x0, dx, fields[:, np.array([2, 3, 4, 6, 7])]), reionized, middle)

    scalars = dict(T_cmb=T_cmb, YHe=YHe, f_He=f_He, n_H=n_H0, z_reio=model.z_reio, tau_reio=tau_reio)
    return Thermodynamics(**scalars, **found, table=UniformTable(x0, dx, fields[:, :7]))


def _epochs(background, table: UniformTable, reionized, middle) -> dict[str, Float[Array, ""]]:
    """Redshift, conformal time and sound horizon of last scattering, kappa = 1 and baryon drag; angles.

    `table`: ln kappa', d ln kappa'/d ln a, kappa, ln aH and the optical depth of the baryons; reionized: optical depth
    of the electrons of reionization; middle: ln a near which all of them are.
    """

    def mismatch(x):  # of the maximum of g, of kappa = 1, kappa_b = 1, kappa = 1 without reionization
        of_rec, of_star, of_d, of_camb = table(x)  # each nearly linear in ln a
        peak = of_rec[0] - of_rec[3] - jnp.log(-of_rec[1])  # kappa' = - d ln kappa' / d tau
        return jnp.stack([peak, jnp.log(of_star[2]), jnp.log(of_d[4]), jnp.log(of_camb[2] - reionized)])

    middle = jax.lax.stop_gradient(middle)
    x = newton(mismatch, jnp.full(4, middle), middle - 0.8, middle + 0.8, _EPOCH_STEPS)
    tau = background.conformal_time(jnp.concatenate([x, jnp.zeros(1)]))
    z, epochs, rs = keep(jnp.expm1(-x), tau[:4], background.sound_horizon(x))
    angle = rs / areal_radius(background.K, tau[4] - epochs)
    out = {"theta_s_100": 100.0 * angle[0], "theta_star_100": 100.0 * angle[1], "thetastar": angle[3]}
    for i, name in enumerate(("rec", "star", "d")):
        out |= {f"z_{name}": z[i], f"tau_{name}": epochs[i], f"rs_{name}": rs[i]}
    return out
