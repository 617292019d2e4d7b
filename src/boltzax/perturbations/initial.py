"""Initial conditions deep in the radiation era, for curvature perturbation R = 1 or entropy perturbation S = 1.

Ma & Bertschinger (1995), eq. (96), with the next order in (a/a_eq) from Bucher, Moodley & Turok (2000), sec. IV, whose
series the isocurvature modes are; curved space: Lesgourgues & Tram (2014, arXiv:1312.2697). Each is the regular
growing solution; a species that streams freely is `nu` here.
"""

from typing import NamedTuple

import jax.numpy as jnp

from boltzax.perturbations.layout import Layout
from boltzax.perturbations.species.photons import POLARISATION, TEMPERATURE


class Start(NamedTuple):
    """Values of one mode at k tau << 1, each [..., lanes]; without freely streaming neutrinos theta_nu and shear_nu
    go to those of a test species."""

    eta: jnp.ndarray
    delta_cdm: jnp.ndarray
    delta_b: jnp.ndarray
    delta_g: jnp.ndarray
    theta_g: jnp.ndarray
    delta_nu: jnp.ndarray
    theta_nu: jnp.ndarray
    shear_nu: jnp.ndarray


class _Era(NamedTuple):
    """f_nu, f_g: parts of the radiation; r_b, r_c: of matter; w ~ a/a_eq; x = k tau; s = 1 - 3 K/k^2."""

    f_nu: jnp.ndarray
    f_g: jnp.ndarray
    r_b: jnp.ndarray
    r_c: jnp.ndarray
    w: jnp.ndarray
    k: jnp.ndarray
    x: jnp.ndarray
    s: jnp.ndarray | float  # 1 - 3 K/k^2


def _adiabatic(e: _Era) -> Start:
    f_nu, w, k, x, x2, s = e.f_nu, e.w, e.k, e.x, e.x**2, e.s
    delta_g = -s * x2 / 3.0 * (1.0 - w / 5.0)
    theta_g = -s * k * x * x2 / 36.0 * (1.0 - 3.0 * (1.0 + 5.0 * e.r_b - f_nu) / (20.0 * (1.0 - f_nu)) * w)
    theta_nu = (
        -s
        * k
        * x
        * x2
        / 36.0
        / (4.0 * f_nu + 15.0)
        * (4.0 * f_nu + 11.0 + 12.0 * s - 3.0 * (8.0 * f_nu**2 + 50.0 * f_nu + 275.0) / 20.0 / (2.0 * f_nu + 15.0) * w)
    )
    shear_nu = (3.0 * s - 1.0) * x2 / (45.0 + 12.0 * f_nu) * (1.0 + (4.0 * f_nu - 5.0) / 4.0 / (2.0 * f_nu + 15.0) * w)
    eta = 1.0 - x2 / 12.0 / (15.0 + 4.0 * f_nu) * (
        5.0 + 4.0 * s * f_nu - (16.0 * f_nu**2 + 280.0 * f_nu + 325.0) / 10.0 / (2.0 * f_nu + 15.0) * w
    )
    return Start(eta, 0.75 * delta_g, 0.75 * delta_g, delta_g, theta_g, delta_g, theta_nu, shear_nu)


def _matter(e: _Era, part) -> Start:
    """What an entropy perturbation of a part of matter gives everything else."""
    delta = part * e.w * (-2.0 / 3.0 + e.w / 4.0)
    theta = -part * e.w * e.k * e.x / 12.0
    shear = -part * e.w * e.x**2 / 6.0 / (2.0 * e.f_nu + 15.0)
    eta = -part * e.w * (1.0 / 6.0 - e.w / 16.0)
    return Start(eta, 0.75 * delta, 0.75 * delta, delta, theta, delta, theta, shear)


def _cdm_density(e: _Era) -> Start:
    start = _matter(e, e.r_c)
    return start._replace(delta_cdm=1.0 + start.delta_cdm)


def _baryon_density(e: _Era) -> Start:
    start = _matter(e, e.r_b)
    return start._replace(delta_b=1.0 + start.delta_b)


def _neutrino_density(e: _Era) -> Start:
    ratio, x2 = e.f_nu / e.f_g, e.x**2
    return Start(
        eta=-e.f_nu / (4.0 * e.f_nu + 15.0) / 6.0 * x2,
        delta_cdm=-e.f_nu * e.r_b / e.f_g / 80.0 * x2 * e.w,
        delta_b=ratio / 8.0 * x2,
        delta_g=ratio * (-1.0 + x2 / 6.0),
        theta_g=-ratio * e.k * e.x * (0.25 - e.r_b / e.f_g * 3.0 / 16.0 * e.w),
        delta_nu=1.0 - x2 / 6.0,
        theta_nu=0.25 * e.k * e.x,
        shear_nu=x2 / (4.0 * e.f_nu + 15.0) / 2.0,
    )


def _neutrino_velocity(e: _Era) -> Start:
    f_nu, f_g, r_b, w, x = e.f_nu, e.f_g, e.r_b, e.w, e.x
    delta_g = x * f_nu / f_g * (1.0 - 3.0 / 16.0 * r_b * (2.0 + f_g) / f_g * w)
    drag = 0.75 * r_b / f_g * w + 3.0 / 16.0 * w**2 * r_b / f_g**2 * (f_g - 3.0 * r_b)
    constant = -1.0 / (4.0 * f_nu + 5.0)
    return Start(
        eta=f_nu * x * (constant + (-3.0 / 64.0 * r_b / f_g - 3.75 / (4.0 * f_nu + 15.0) * constant) * w),
        delta_cdm=-9.0 / 64.0 * f_nu * r_b / f_g * x * w,
        delta_b=0.75 * delta_g,
        delta_g=delta_g,
        theta_g=f_nu / f_g * 0.75 * e.k * (-1.0 + drag + x**2 / 6.0),
        delta_nu=-x * (1.0 + 3.0 / 16.0 * r_b * f_nu / f_g * w),
        theta_nu=0.75 * e.k * (1.0 - x**2 / 6.0 * (4.0 * f_nu + 9.0) / (4.0 * f_nu + 5.0)),
        shear_nu=x / (4.0 * f_nu + 15.0) * (1.0 + 3.0 * w * f_nu / (4.0 * f_nu + 15.0)),
    )


MODES = {
    "ad": _adiabatic,
    "cdi": _cdm_density,
    "bi": _baryon_density,
    "nid": _neutrino_density,
    "niv": _neutrino_velocity,
}


def initial(lay: Layout, background, k, tau, mode: str = "ad"):
    """Values at k tau << 1, k and tau [..., lanes]: fluid [..., 4, lanes], hierarchies' l = 0, 1, 2 [..., 3, rows,
    lanes], and the unknowns [n, lanes] of each fluid. The tails are zero. mode: a key of `MODES`.
    """
    radiation = background.early_radiation
    matter = background.rho_b + background.early_cold
    w = matter / jnp.sqrt(radiation) * tau
    era = _Era(
        f_nu=background.early_streaming / radiation,
        f_g=background.rho_g / radiation,
        r_b=background.rho_b / matter,
        r_c=background.early_cold / matter,
        w=w,
        k=k,
        x=k * tau,
        s=1.0 if background.K is None else 1.0 - 3.0 * background.K / k**2,
    )
    start = MODES[mode](era)
    zero = jnp.zeros_like(era.x)
    speed = 4.0 / (3.0 * k)
    s2 = 1.0 if background.K is None else jnp.sqrt(era.s)
    columns = []
    for row in range(lay.rows):
        if row == TEMPERATURE:
            columns.append((start.delta_g, speed * start.theta_g, zero))
        elif row == POLARISATION:
            columns.append((zero, zero, zero))
        else:
            columns.append((start.delta_nu, speed * start.theta_nu, 2.0 * s2 * start.shear_nu))
    if mode == "ad":
        others = tuple(jnp.stack(fluid.start(k, tau, start.delta_g, start.theta_g)) for fluid in background.fluids)
    else:
        others = tuple(jnp.stack([zero] * fluid.size) for fluid in background.fluids)
    low = jnp.stack([jnp.stack([c[l] for c in columns], axis=-2) for l in range(3)], axis=-3)
    return jnp.stack([start.eta, start.delta_cdm, start.delta_b, start.theta_g], axis=-2), low, others
