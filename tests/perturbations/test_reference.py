"""Perturbations at fixed wavenumbers against CLASS, synchronous gauge comoving with CDM, R = 1."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

# Largest errors over the largest value of each field, twice the present ones; where radiation streams freely far inside
# the horizon the ends of both hierarchies show, so radiation is compared up to k tau = 40 (massive neutrinos: 25).
ALWAYS = {
    "eta": 2.5e-5,
    "delta_cdm": 1.5e-4,
    "delta_b": 1.5e-4,
    "h_prime": 3.2e-4,
    "alpha": 3.2e-4,
    "phi": 3.3e-5,
    "psi": 3.7e-5,
}
RESOLVED = {"delta_g": 2.6e-4, "theta_b": 1.7e-4, "pi": 5.2e-4, "eta_prime": 5.2e-5, "shear": 1.1e-4}
MASSIVE = {"delta_ncdm": 1.3e-4, "theta_ncdm": 1.7e-3}
REACH = {name: np.inf for name in ALWAYS} | {name: 40.0 for name in RESOLVED} | {name: 25.0 for name in MASSIVE}


def ours(u, mode, tau):
    """Fields of a mode at conformal times tau, by splines between the ends of its steps."""
    f = mode.fields
    a, aH, *_ = u.medium()(mode.tau)
    alpha_prime = -2 * aH * mode.alpha + f.fluid[:, 0] - 4.5 * f.shear / mode.k**2
    fields = dict(zip(("eta", "delta_cdm", "delta_b", "theta_b"), f.fluid.T, strict=True))
    fields |= dict(zip(("h_prime", "eta_prime"), f.metric.T, strict=True))
    fields |= {"delta_g": f.f0, "pi": f.pi, "shear": f.shear, "alpha": mode.alpha}
    fields |= {"phi": f.fluid[:, 0] - aH * mode.alpha, "psi": alpha_prime + aH * mode.alpha}
    if u.n_ncdm:
        rho, pressure = (np.asarray(v)[:, 0] for v in u.background.rho_ncdm(jnp.asarray(a)))
        fields["delta_ncdm"] = f.delta_ncdm / (a**2 * rho)
        fields["theta_ncdm"] = mode.k * f.theta_ncdm / (a**2 * (rho + pressure))
    return {n: make_interp_spline(np.log(mode.tau), v, k=5)(np.log(tau)) for n, v in fields.items()}


def theirs(u, table, i, rows):
    """The same from CLASS's table."""
    names = ("eta", "delta_cdm", "delta_b", "theta_b", "h_prime", "eta_prime", "delta_g", "alpha", "phi", "psi")
    get = lambda name: table[f"pt_{name}"][i, rows].astype(float)
    bg, a = u.background, table["pt_a"][i, rows]
    fields = {n: get(n) for n in names}
    fields["pi"] = 2.0 * get("shear_g") + get("pol0_g") + get("pol2_g")
    shear = 4 / 3 * (float(bg.rho_g) * get("shear_g") + float(bg.rho_ur) * get("shear_ur")) / a**2
    if u.n_ncdm:
        rho, pressure = (np.asarray(v)[:, 0] for v in bg.rho_ncdm(jnp.asarray(a)))
        shear += a**2 * (rho + pressure) * get("shear_ncdm")
        fields |= {"delta_ncdm": get("delta_ncdm"), "theta_ncdm": get("theta_ncdm")}
    return fields | {"shear": shear}


@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_against_class(universe, evolve, reference, name):
    u, table = universe(name), reference(name, "stages")
    ks = tuple(float(k) for k in table["pt_k"])
    for i, mode in enumerate(evolve(name, ks)):
        tau = table["pt_tau"][i]
        rows = (tau > 10 * tau[0]) & (tau < mode.tau[-1])  # CLASS begins with the leading order of its series
        tau = tau[rows]
        a, b = ours(u, mode, tau), theirs(u, table, i, rows)
        for field, allowed in (ALWAYS | RESOLVED | MASSIVE).items():
            if field in b:
                error = np.abs(a[field] - b[field])[mode.k * tau < REACH[field]].max() / np.abs(b[field]).max()
                assert error < allowed, (mode.k, field, error)
