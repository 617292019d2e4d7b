"""Sources on the nodes of the line of sight against CLASS's."""

import numpy as np
import pytest
from scipy.interpolate import make_interp_spline

import boltzax
from boltzax.grids import make_grid

# CLASS's table has rows every 3 Mpc there. Beyond k = 0.1/Mpc the differences are of this test: our nodes lie up to one
# radian apart, which serves the integrals, and are interpolated to the rows.
RECOMBINATION = (215.0, 440.0)  # [Mpc]


@pytest.fixture(scope="module", params=["fiducial", "massless"])
def compared(request, solved, reference):
    """Grid, solution, CLASS's table, and a function that reads our field [modes, nodes] at its k and tau."""
    results, table = solved(request.param), reference(request.param, "stages")
    grid = make_grid(boltzax.Precision(), boltzax.Outputs())
    tau_0 = float(results.background.tau_0)

    def read(field):
        field = np.asarray(field)
        modes = grid.y_modes[: len(field)] / tau_0
        keep = np.concatenate([[True], np.diff(np.log(modes)) > 1e-3])
        in_time = make_interp_spline(np.log(grid.x * tau_0), field.T[:, keep], k=5)(np.log(table["src_tau"]))
        return make_interp_spline(np.arcsinh(modes[keep] / 0.01), in_time.T, k=5)(np.arcsinh(table["src_k"] / 0.01))

    return results, table, read


def check(found, k, bands):
    """found [k]: the largest difference at each k over the largest value there; bands: (largest k, bound)."""
    lo = 0.0
    for hi, bound in bands:
        here, lo = (k >= lo) & (k < hi), hi
        assert here.any()
        assert found[here].max() < bound, (hi, found[here].max())


def error(ours, theirs, times):
    return np.abs(ours - theirs)[:, times].max(1) / np.abs(theirs[:, times]).max(1)


def inside(table, first, last):
    return (table["src_tau"] > first) & (table["src_tau"] < last)


def test_polarisation(compared):
    """S_P = g Pi / 8 is CLASS's p / sqrt(6)."""
    results, table, read = compared
    ours, theirs = read(results.sources.S_P), table["src_p"] / np.sqrt(6.0)
    check(
        error(ours, theirs, inside(table, *RECOMBINATION)),
        table["src_k"],
        [(0.055, 2.4e-5), (0.13, 1e-4), (0.25, 1.1e-3)],
    )


def test_weyl_potential(compared):
    results, table, read = compared
    found = error(read(results.sources.weyl), table["src_phi_plus_psi"], inside(table, 215.0, 13000.0))
    check(found, table["src_k"], [(0.009, 6.5e-6), (0.055, 2.8e-5), (0.13, 1.8e-4), (0.25, 8e-4)])


def test_temperature(compared):
    """S_T from CLASS's t0, t1, t2 integrated by parts: t0 + t1'/k - t2 - 3 (t2 / z)' / k."""
    results, table, read = compared
    tau, k = table["src_tau"], table["src_k"][:, None]
    early = tau < 460.0
    z = k * (float(results.background.tau_0) - tau)
    slope = lambda v: make_interp_spline(tau[early], v[:, early].T, k=5).derivative()(tau).T
    t0, t1, t2 = (table[f"src_{n}"].astype(float) for n in ("t0", "t1", "t2"))
    theirs = t0 + slope(t1) / k - t2 - 3.0 * slope(t2 / z) / k
    found = error(read(results.sources.S_T), theirs, inside(table, *RECOMBINATION))
    check(found, table["src_k"], [(0.009, 1.7e-5), (0.13, 1.3e-4), (0.25, 1e-3)])
