"""The stage report: names the stage that was broken on purpose, and none when nothing is.

At a small precision and with a CLASS run of seconds, massless neutrinos; every stage compiled once for all tests, and
once more where it is broken.
"""

from importlib import import_module

import equinox as eqx
import numpy as np
import pytest
from oracle import __main__ as command_line
from oracle import feeding, pipeline, report
from oracle import reference as ref

import boltzax

pytestmark = pytest.mark.oracle

PRECISION = boltzax.Precision(
    n_v=2.0, x_stream=50.0, n_tail=6, n_q=3, n_k_cmb=90, l_margin=100,
    l_max_pp=600, l_growth=0.1, dtau_late=100.0, chi_step=0.06, lanes=32,
)  # fmt: skip
OUTPUTS = boltzax.Outputs(l_max=400, k_max=1.0)
QUICK_CLASS = {
    "delta_l_max": 700,
    "l_linstep": 20,
    "l_max_g": 20,
    "l_max_pol_g": 16,
    "l_max_ur": 20,
    "k_step_sub": 0.08,
    "k_step_super": 0.005,
    "perturbations_sampling_stepsize": 0.05,
    "k_per_decade_for_pk": 10,
    "num_mu_minus_lmax": 300,
    "k_max_tau0_over_l_max": 2.3,  # TT needs wave numbers far beyond l / tau_0, the more the smaller l
}
POINT = ref.POINTS["massless"]
# Twice what is found at this precision and without massive neutrinos.
TOLERANCES = {
    ("background", "H"): 1e-14,
    ("background", "conformal time"): 6e-11,
    ("background", "comoving sound horizon"): 3e-11,
    ("thermodynamics", "x_e"): 0.00026,
    ("thermodynamics", "g / maximum"): 9e-8,
    ("thermodynamics", "T_b"): 5e-5,
    ("thermodynamics", "c_b^2"): 0.0002,
    ("perturbations", "delta_cdm"): 0.00095,
    ("perturbations", "delta_b"): 0.00095,
    ("perturbations", "theta_b"): 0.0004,
    ("perturbations", "delta_g"): 0.00018,
    ("perturbations", "phi"): 0.0001,
    ("perturbations", "psi"): 0.00014,
    ("perturbations", "pi"): 0.0024,
    ("sources", "temperature"): 0.0009,
    ("sources", "polarisation"): 0.002,
    ("sources", "phi + psi"): 0.0028,
    ("sources", "matter"): 0.00095,
    ("sources", "temperature, large scales"): 4e-5,
    ("unlensed C_l", "tt"): 0.00065,
    ("unlensed C_l", "ee"): 0.002,
    ("unlensed C_l", "te"): 0.002,
    ("C_l^phiphi", "pp"): 0.0052,
    ("lensed C_l", "tt"): 0.0013,
    ("lensed C_l", "ee"): 0.0007,
    ("lensed C_l", "te"): 0.00025,
    ("lensed C_l", "bb"): 0.0013,
    ("P(k)", "P(k)"): 0.00018,
}


CHAIN = {}  # nothing is asked of the whole chain at this precision


@pytest.fixture(scope="session")
def programs():
    return pipeline.Programs(OUTPUTS, PRECISION, 0)


@pytest.fixture(scope="session")
def stages(programs):
    return pipeline.class_run(POINT, programs, QUICK_CLASS)


@pytest.fixture(scope="session")
def curves(programs, stages):
    return pipeline.compare(POINT, programs, stages)


def replaced(**factors):
    """A wrapper that multiplies some fields of the named tuple that a function returns."""

    def wrap(function):
        def broken(*a):
            found = function(*a)
            return found._replace(**{name: factor * getattr(found, name) for name, factor in factors.items()})

        return broken

    return wrap


def half_matter(function):
    """A wrapper of `matter_power` that halves the density contrasts."""
    return lambda grid, bg, src: function(grid, bg, eqx.tree_at(lambda s: s.delta_m, src, 0.5 * src.delta_m))


def third_of_polarisation(function):
    """A wrapper of `sources` that leaves a third of the polarisation term of the temperature."""

    def broken(grid, bg, th, fields):
        whole, without = function(grid, bg, th, fields), function(grid, bg, th, fields._replace(pi=0.0 * fields.pi))
        return eqx.tree_at(lambda s: s.S_T, whole, without.S_T + (whole.S_T - without.S_T) / 3.0)

    return broken


#: what is broken: (stage that must be named, program compiled anew, module, name in it, wrapper of what is there)
BREAKS = {
    "missing factor 2 in massless neutrinos": (
        "background", "background", "background.evolution", "RELIC", lambda v: v / 2,
    ),
    "1% in the two-photon rate": (
        "thermodynamics", "thermodynamics", "thermo.hydrogen", "_TWO_PHOTON", lambda v: 1.01 * v,
    ),
    "1% in the Thomson rate of photons": (
        "perturbations", "perturbations", "perturbations.integrate", "coefficients", replaced(damping=1.01),
    ),
    "missing factor 2 in the photons' drag on baryons": (
        "perturbations", "perturbations", "perturbations.integrate", "coefficients", replaced(drag=0.5),
    ),
    "wrong sign of the expansion's drag on baryons": (
        "perturbations", "perturbations", "perturbations.integrate", "coefficients", replaced(expansion=-1.0),
    ),
    "wrong sign of the Doppler term": ("sources", "sources", "sources", "step_fields", replaced(dipole=-1.0)),
    "missing factor 3 in the polarisation of temperature": (
        "sources", "sources", "sources", "sources", third_of_polarisation,
    ),
    "missing factor 2 in the quadrupole": ("sources", "sources", "sources", "step_fields", replaced(pi=0.5)),
    "missing factor 2 in the projection": (
        "unlensed C_l", "spectra", "projection.line_of_sight", "_transfer", lambda f: lambda ell: f(ell) / 2,
    ),
    "missing factor 2 in the lensing kernel": (
        "C_l^phiphi", "spectra", "projection.line_of_sight", "lensing_kernel", lambda f: lambda *a: f(*a) / 2,
    ),
    "missing factor 2 in the lensing of E and B": (
        "lensed C_l", "lensing", "spectra.lensing", "_zone_change", lambda f: lambda *a: f(*a).at[2:].multiply(0.5),
    ),
    "missing factor 2 in the matter transfer": ("P(k)", "matter", "spectra.matter", "matter_power", half_matter),
}  # fmt: skip


def test_nothing_departs(curves):
    rows = report.findings(curves, TOLERANCES, CHAIN)
    assert [row.stage for row in rows if row.departs] == []
    assert {row.stage for row in rows} == set(pipeline.STAGES)
    assert "no stage departs" in report.verdict(rows)
    for row in rows:  # a tolerance far above what is found would see nothing
        assert row.tolerance < 5.0 * row.error or row.error < 1e-8, (row.stage, row.quantity, row.error)


@pytest.mark.parametrize("what", BREAKS)
def test_the_broken_stage_is_named(what, programs, stages, curves, monkeypatch):
    stage, program, module, name, wrap = BREAKS[what]
    module = import_module(f"boltzax.{module}")
    monkeypatch.setattr(module, name, wrap(getattr(module, name)))
    rows = report.findings(pipeline.compare(POINT, programs.renewed(program), stages), TOLERANCES, CHAIN)
    found = report.culprit(rows)
    assert found is not None and found.stage == stage, report.table(rows)
    assert f"the first stage that departs is {stage}" in report.verdict(rows)
    # what was fed with CLASS's output of the broken stage stands as before
    good = {(c.stage, c.quantity): np.abs(c.own).max() for c in curves}
    after = pipeline.STAGES.index(stage) + 1
    shared = {("perturbations", "sources"), ("unlensed C_l", "C_l^phiphi")}  # one run, one projection
    for row in rows:
        if row.stage in pipeline.STAGES[after:] and (stage, row.stage) not in shared:
            assert row.error == pytest.approx(good[row.stage, row.quantity], rel=1e-6), (row.stage, row.quantity)


def test_what_shows_in_the_chain_alone(curves):
    """A whole chain that departs where no stage does is a departure too."""
    rows = report.findings(curves, TOLERANCES, {("lensed C_l", "tt"): 1e-9})
    assert report.culprit(rows).quantity == "tt"
    assert "the whole chain does: tt of lensed C_l" in report.verdict(rows)
    assert report.as_dict(rows)["culprit"]["stage"] == "lensed C_l"


def test_figure(curves, tmp_path):
    report.plot(curves, report.findings(curves, TOLERANCES, CHAIN), tmp_path / "report.png")
    assert (tmp_path / "report.png").stat().st_size > 20000


def test_tolerances_cover_every_quantity(curves):
    """Those at the default precision too, with one massive neutrino as well as without."""
    for tolerances in (TOLERANCES, report.TOLERANCES):
        assert {(c.stage, c.quantity) for c in curves} <= set(tolerances)
    assert ("perturbations", "delta_ncdm") in report.TOLERANCES


def test_parameters(tmp_path, capsys):
    assert report.parameters([]) == ref.FIDUCIAL
    point = report.parameters(["h=0.7", "m_ncdm=0.05,0.01", "N_ur=1.0"])
    assert (point["h"], point["m_ncdm"], point["N_ur"]) == (0.7, [0.05, 0.01], 1.0)
    assert boltzax.Cosmology(**point).to_dict() == boltzax.Cosmology(h=0.7, m_ncdm=(0.05, 0.01), N_ur=1.0).to_dict()
    assert feeding.conformal_age(point) == pytest.approx(14000.0, rel=0.1)  # CLASS takes them too
    (tmp_path / "p.yaml").write_text("omega_b: 0.023\n")
    assert report.parameters([str(tmp_path / "p.yaml")])["omega_b"] == 0.023
    for given, message in (
        (["omega_c=0.12"], "did you mean"),
        (["h", "n_s=1"], "NAME=VALUE"),
        (["h=5"], "below 3"),
        (["recombination=recfast"], "hyrec alone"),
        (["none.yaml"], "cannot read"),
    ):
        assert command_line.main(["report", "--params", *given]) == 2
        assert message in capsys.readouterr().err
