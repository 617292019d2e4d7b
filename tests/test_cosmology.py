"""Cosmology: names, alternatives, defaults, limits, conversions, and life inside transformations."""

import pickle
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax.errors as errors
from boltzax.cosmology import Cosmology

SCALARS = (
    "h omega_b omega_cdm N_ur T_cmb ln_A_s_1e10 n_s k_pivot tau_reio reionization_width reionization_exponent "
    "helium_fullreio_redshift helium_fullreio_width"
).split()


# -- defaults and alternatives ---------------------------------------------------------------------------------------


def test_defaults_are_planck_2018():
    cosmo = Cosmology()
    expected = {"h": 0.6736, "omega_b": 0.02237, "omega_cdm": 0.12, "ln_A_s_1e10": 3.044, "n_s": 0.9649}
    expected |= {"tau_reio": 0.0544, "N_ur": 2.0328, "T_cmb": 2.7255, "k_pivot": 0.05, "reionization_width": 0.5}
    assert {name: float(getattr(cosmo, name)) for name in expected} == expected
    assert cosmo.m_ncdm.tolist() == [0.06] and cosmo.T_ncdm.tolist() == [0.71611] and cosmo.deg_ncdm.tolist() == [1.0]
    assert cosmo.YHe is None and cosmo.z_reio is None and cosmo.recombination == "hyrec"
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree_util.tree_leaves(cosmo))


@pytest.mark.parametrize(
    "masses, n_ur, n_eff, tolerance",
    [
        ((), 3.044, 3.044, 1e-15),
        ((0.06,), 2.0328, 3.0460016275, 1e-10),
        ((0.03, 0.05), 1.0196, 3.0460016275, 4e-6),
        ((0.02, 0.02, 0.05), 0.00641, 3.0460016275, 3e-5),
    ],
)
def test_default_massless_number_is_that_of_class(masses, n_ur, n_eff, tolerance):
    cosmo = Cosmology(m_ncdm=masses)
    assert cosmo.N_ncdm == len(masses)
    assert abs(float(cosmo.N_ur) - n_ur) < tolerance
    assert abs(float(cosmo.N_eff) - n_eff) < 1e-10


@pytest.mark.parametrize(
    "given, field, value",
    [
        ({"H0": 70.0}, "h", 0.7),
        ({"Omega_b": 0.05, "h": 0.7}, "omega_b", 0.05 * 0.49),
        ({"Omega_b": 0.05, "H0": 70.0}, "omega_b", 0.05 * 0.49),
        ({"Omega_cdm": 0.25, "h": 0.7}, "omega_cdm", 0.25 * 0.49),
        ({"omega_m": 0.14, "m_ncdm": ()}, "omega_cdm", 0.14 - 0.02237),
        ({"Omega_m": 0.3, "h": 0.7, "m_ncdm": (), "omega_b": 0.02}, "omega_cdm", 0.3 * 0.49 - 0.02),
        ({"A_s": 2.1e-9}, "ln_A_s_1e10", np.log(21.0)),
        ({"ln10^{10}A_s": 3.0}, "ln_A_s_1e10", 3.0),
        ({"N_eff": 3.5, "m_ncdm": (0.1,), "T_ncdm": (4 / 11) ** (1 / 3), "deg_ncdm": 2}, "N_ur", 1.5),
    ],
)
def test_alternatives(given, field, value):
    assert abs(float(getattr(Cosmology(**given), field)) - value) < 1e-14


def test_derived_properties():
    cosmo = Cosmology(Omega_m=0.31, A_s=2e-9, h=0.7, m_ncdm=(0.1, 0.2), Omega_b=0.05)
    for name, value in {"Omega_m": 0.31, "A_s": 2e-9, "H0": 70.0, "Omega_b": 0.05}.items():
        assert abs(float(getattr(cosmo, name)) / value - 1.0) < 1e-14
    total = cosmo.Omega_b + cosmo.Omega_cdm + cosmo.Omega_g + cosmo.Omega_Lambda
    total += (cosmo.omega_ur + cosmo.omega_ncdm.sum()) / cosmo.h**2
    assert abs(float(total) - 1.0) < 1e-15


def test_z_reio_replaces_tau_reio():
    cosmo = Cosmology(z_reio=7.7)
    assert float(cosmo.z_reio) == 7.7 and cosmo.tau_reio is None


def test_one_value_serves_all_species():
    cosmo = Cosmology(m_ncdm=(0.1, 0.2), T_ncdm=0.7, deg_ncdm=(1, 2), N_ur=0.1)
    assert cosmo.T_ncdm.tolist() == [0.7, 0.7] and cosmo.deg_ncdm.tolist() == [1.0, 2.0]
    assert Cosmology(m_ncdm=0.06).m_ncdm.tolist() == [0.06]
    assert Cosmology(m_ncdm=(), T_ncdm=0.71611, N_ncdm=0).m_ncdm.shape == (0,)
    assert Cosmology(N_ncdm=0).N_ncdm == 0


def test_massive_density_of_light_and_heavy_species():
    heavy, light = Cosmology(m_ncdm=(50.0,), omega_cdm=0.0, N_ur=0.0, h=2.9), Cosmology(m_ncdm=(1e-9,))
    # Riemann zeta(3) and the mean of q^2 of a Fermi-Dirac gas: rho = m n (1 + 15 zeta(5) / (2 zeta(3)) / x^2)
    zeta3, zeta5 = 1.2020569031595942, 1.0369277551433699
    x = 50.0 / (8.6173429e-5 * 0.71611 * 2.7255)
    massless = 7 / 8 * 0.71611**4 * float(heavy.omega_g)
    expected = massless * 1.5 * zeta3 / (7 * np.pi**4 / 120) * x * (1 + 7.5 * zeta5 / zeta3 / x**2)
    assert abs(float(heavy.omega_ncdm[0]) / expected - 1.0) < 1e-6  # limited by the Boltzmann constant above
    assert abs(float(light.omega_ncdm[0]) / massless - 1.0) < 5e-12


@pytest.mark.oracle
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"m_ncdm": ()},
        {"m_ncdm": (0.02, 0.1, 0.3), "N_ur": 0.01, "Omega_m": 0.33, "T_ncdm": (0.7, 0.71611, 0.72)},
        {
            "z_reio": 8.0,
            "A_s": 2e-9,
            "YHe": 0.24,
            "m_ncdm": 0.1,
            "deg_ncdm": 3,
            "N_eff": 3.1,
            "recombination": "recfast",
        },
    ],
)
def test_class_reads_to_classy_as_the_same_cosmology(given):
    classy = pytest.importorskip("classy")
    cosmo, run = Cosmology(**given), classy.Class()
    run.set({**cosmo.to_classy(), "tol_ncdm_bg": 1e-10})
    run.compute(["thermodynamics"])
    for name in ("Omega_m", "Omega_Lambda", "Omega_g", "Omega_b"):
        assert abs(getattr(run, name)() / float(getattr(cosmo, name)) - 1.0) < 2e-12
    assert abs(run.Neff() - float(cosmo.N_eff)) < 1.2e-9
    derived = run.get_current_derived_parameters(["z_reio", "tau_reio", "YHe", "A_s"])
    assert abs(derived["A_s"] / float(cosmo.A_s) - 1.0) < 1e-14
    if "z_reio" in given:
        assert derived["z_reio"] == 8.0 and derived["YHe"] == 0.24
    else:
        assert derived["tau_reio"] == 0.0544


# -- bad input -------------------------------------------------------------------------------------------------------

CONFLICTS = [
    ({"h": 0.7, "H0": 70.0}, "h and H0"),
    ({"omega_b": 0.02, "Omega_b": 0.05}, "omega_b and Omega_b"),
    ({"omega_cdm": 0.12, "Omega_m": 0.3}, "omega_cdm and Omega_m"),
    ({"Omega_cdm": 0.12, "omega_m": 0.14}, "Omega_cdm and omega_m"),
    ({"A_s": 2e-9, "ln_A_s_1e10": 3.0}, "ln_A_s_1e10 and A_s"),
    ({"ln10^{10}A_s": 3.0, "ln_A_s_1e10": 3.0}, "same parameter"),
    ({"ln10^{10}A_s": 3.0, "A_s": 2e-9}, "ln_A_s_1e10 and A_s"),
    ({"tau_reio": 0.05, "z_reio": 8.0}, "tau_reio and z_reio"),
    ({"N_ur": 2.0, "N_eff": 3.0}, "N_ur and N_eff"),
    ({"N_ncdm": 2, "m_ncdm": (0.1,)}, "N_ncdm = 2"),
    ({"m_ncdm": (0.1, 0.2), "deg_ncdm": (1, 2, 3)}, "deg_ncdm holds 3 values for 2"),
    ({"m_ncdm": (0.1,), "T_ncdm": (0.7, 0.7)}, "T_ncdm holds 2 values for 1"),
]
MISSING = [
    ({"N_ncdm": 3}, "m_ncdm with 3 masses"),
    ({"m_ncdm": (0.1,) * 4}, "give N_ur"),
    ({"m_ncdm": (0.1,), "N_eff": 0.5}, "give N_ur"),
]
RANGES = [
    *(({name: bad}, f"{name} = ") for name in SCALARS for bad in (np.nan, np.inf, -np.inf)),
    *(({name: -100.0}, f"{name} = -100 must be") for name in SCALARS),
    ({"h": 0.1}, "h = 0.1 must be finite, above 0.1"),
    ({"h": 3.0}, "below 3"),
    ({"H0": 5.0}, "h = 0.05 (from H0)"),
    ({"omega_b": 0.0}, "omega_b = 0"),
    ({"omega_cdm": -1e-9}, "at least 0"),
    ({"Omega_m": 0.02}, "(from Omega_m)"),
    ({"T_cmb": 0.0}, "T_cmb = 0"),
    ({"m_ncdm": (0.1, -0.1), "N_ur": 1.0}, "m_ncdm = (0.1, -0.1)"),
    ({"m_ncdm": (np.nan,)}, "m_ncdm = (nan,)"),
    ({"T_ncdm": 0.0}, "T_ncdm = (0,)"),
    ({"deg_ncdm": -1.0}, "deg_ncdm = (-1,)"),
    ({"YHe": 0.0}, "YHe = 0"),
    ({"YHe": 1.0}, "YHe = 1"),
    ({"YHe": "PArthENoPE"}, "'BBN'"),
    ({"tau_reio": 0.0}, "tau_reio = 0"),
    ({"z_reio": -1.0}, "z_reio = -1"),
    ({"n_s": 40.0}, "n_s = 40"),
    ({"A_s": 0.0}, "A_s = 0"),
    ({"A_s": -2e-9}, "must be positive"),
    ({"A_s": 2.1}, "(from A_s)"),
    ({"N_ur": -1e-3}, "N_ur = -0.001"),
    ({"h": 0.3}, "Omega_Lambda of -0.5"),
    ({"omega_cdm": 0.5}, "exceed the critical"),
    ({"m_ncdm": (30.0,)}, "exceed the critical"),
    ({"h": "0.7"}, "must be a number"),
    ({"h": True}, "must be a number"),
    ({"h": 0.7 + 0.1j}, "must be a number"),
    ({"h": (0.6, 0.7)}, "jax.vmap"),
    ({"h": jnp.ones(3)}, "jax.vmap"),
    ({"m_ncdm": jnp.ones((2, 2))}, "one number for each species"),
    ({"recombination": "cosmorec"}, "'hyrec' or 'recfast'"),
]


@pytest.mark.parametrize(
    "error, given, message",
    [
        *((errors.ConflictingParametersError, *row) for row in CONFLICTS),
        *((errors.MissingParameterError, *row) for row in MISSING),
        *((errors.ParameterRangeError, *row) for row in RANGES),
        (errors.UnknownParameterError, {"omega_bb": 0.02}, "did you mean 'omega_b'"),
        (errors.UnknownParameterError, {"tau": 0.05}, "tau"),
        (errors.NotImplementedParameterError, {"Omega_k": 0.0, "r": 0.1}, "Omega_k and r cannot be combined"),
        (errors.NotImplementedParameterError, {"Gamma_dcdm": 1.0}, "'Gamma_dcdm'"),
        (errors.ParameterRangeError, {"w0_fld": -0.5, "wa_fld": 0.6}, "w0_fld + wa_fld must be below 0"),
        (errors.ParameterRangeError, {"w0_fld": 1.2}, "w0_fld = 1.2"),
        (errors.ParameterRangeError, {"w0_fld": -0.9, "wa_fld": -0.2, "use_ppf": "no"}, "crosses -1"),
        (errors.ParameterRangeError, {"wa_fld": 0.0, "use_ppf": "maybe"}, "'yes' or 'no', not 'maybe'"),
        (errors.ConflictingParametersError, {"w0_fld": -1.0, "w_fld": lambda a: -1.0 + 0.0 * a}, "not both"),
    ],
)
def test_bad_input_raises_by_name(error, given, message):
    with pytest.raises(error, match=re.escape(message)):
        Cosmology(**given)


def test_positional_arguments_are_refused():
    with pytest.raises(TypeError):
        Cosmology(0.7)


def test_x64_is_required():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(errors.X64Error):
            Cosmology()
    finally:
        jax.config.update("jax_enable_x64", True)


# -- replace, conversions --------------------------------------------------------------------------------------------


def test_replace_goes_through_the_alternatives():
    cosmo = Cosmology(YHe=0.24, recombination="RECFAST")
    other = cosmo.replace(H0=70.0, z_reio=8.0, A_s=2e-9, Omega_b=0.05, N_eff=3.2)
    assert float(other.h) == 0.7 and float(other.z_reio) == 8.0 and other.tau_reio is None
    assert abs(float(other.Omega_b) - 0.05) < 1e-15 and abs(float(other.N_eff) - 3.2) < 1e-14
    assert float(other.omega_cdm) == 0.12 and float(other.YHe) == 0.24 and other.recombination == "recfast"
    assert other.replace(YHe="BBN").YHe is None
    assert float(cosmo.h) == 0.6736


@pytest.mark.parametrize(
    "error, changes",
    [
        (errors.ParameterRangeError, {"h": np.nan}),
        (errors.ConflictingParametersError, {"h": 0.7, "H0": 70.0}),
        (errors.UnknownParameterError, {"hh": 0.7}),
        (errors.MissingParameterError, {"m_ncdm": ()}),
        (errors.ConflictingParametersError, {"m_ncdm": (0.1, 0.2), "N_ur": 1.0, "deg_ncdm": (1, 1, 1)}),
    ],
)
def test_replace_is_checked(error, changes):
    with pytest.raises(error):
        Cosmology().replace(**changes)


def test_replace_of_the_number_of_species():
    cosmo = Cosmology().replace(m_ncdm=(0.1, 0.2), N_eff=3.044)
    assert cosmo.T_ncdm.tolist() == [0.71611] * 2 and abs(float(cosmo.N_eff) - 3.044) < 1e-14
    assert Cosmology().replace(m_ncdm=(), N_ur=3.044).N_ncdm == 0
    assert Cosmology(T_ncdm=0.7).replace(m_ncdm=(0.2,)).T_ncdm.tolist() == [0.7]


@pytest.mark.parametrize(
    "given", [{}, {"m_ncdm": ()}, {"z_reio": 8.0, "YHe": 0.25, "m_ncdm": (0.1, 0.2), "recombination": "recfast"}]
)
def test_dict_and_pickle_round_trips(given):
    cosmo = Cosmology(**given)
    for copy in (Cosmology.from_dict(cosmo.to_dict()), pickle.loads(pickle.dumps(cosmo))):
        assert eqx.tree_equal(copy, cosmo) is True or bool(eqx.tree_equal(copy, cosmo))
    assert isinstance(cosmo.to_dict()["h"], float)


def test_from_dict_reads_texts():
    cosmo = Cosmology.from_dict({"A_s": "2e-9", "m_ncdm": "0.02, 0.03", "N_ncdm": "2", "YHe": "0.24"})
    assert cosmo.m_ncdm.tolist() == [0.02, 0.03] and float(cosmo.YHe) == 0.24
    assert Cosmology.from_dict({"m_ncdm": "", "YHe": "BBN"}).N_ncdm == 0
    assert Cosmology.from_dict({"m_ncdm": "0.1,0.2", "deg_ncdm": "1", "N_ur": "1"}).deg_ncdm.tolist() == [1.0, 1.0]
    for bad in ({"h": "fast"}, {"m_ncdm": "0.1;0.2"}, {"YHe": "helium"}):
        with pytest.raises(errors.ParameterRangeError, match="must be a number"):
            Cosmology.from_dict(bad)
    with pytest.raises(errors.MissingParameterError, match="'h' has no value"):
        Cosmology.from_dict({"h": None})


def test_from_yaml(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("h: 0.7\nA_s: 2e-9\nm_ncdm: [0.02, 0.03]\nrecombination: recfast\n")
    cosmo = Cosmology.from_yaml(file)
    assert float(cosmo.h) == 0.7 and abs(float(cosmo.A_s) - 2e-9) < 1e-22 and cosmo.N_ncdm == 2
    for content, message in (("h: [0.7", "is not YAML"), ("- h\n- 0.7\n", "must map"), ("", "must map")):
        file.write_text(content)
        with pytest.raises(errors.ParameterFileError, match=message):
            Cosmology.from_yaml(file)
    file.write_bytes(b"\xff\xfe\x00\x9f")
    with pytest.raises(errors.ParameterFileError, match="cannot read"):
        Cosmology.from_yaml(file)
    with pytest.raises(errors.ParameterFileError, match="No such file"):
        Cosmology.from_yaml(tmp_path / "absent.yaml")
    with pytest.raises(errors.ParameterFileError, match="Is a directory"):
        Cosmology.from_yaml(tmp_path)


def test_repr_shows_names_values_and_units():
    text = repr(Cosmology(m_ncdm=(0.1, 0.2)))
    for line in ("h = 0.6736,", "m_ncdm = (0.1, 0.2) eV,", "T_cmb = 2.7255 K,", "YHe = BBN,", "k_pivot = 0.05 1/Mpc,"):
        assert f"  {line}\n" in text
    assert "z_reio" not in text
    seen = []
    jax.jit(lambda c: seen.append(repr(c)) or c.h)(Cosmology())
    assert "h = float64[]" in seen[0]


# -- transformations -------------------------------------------------------------------------------------------------


def test_gradient_through_the_constructor():
    def omega_cdm(h, omega_m):
        return (
            Cosmology(h=h, Omega_m=omega_m, A_s=h * 3e-9, m_ncdm=(0.1 * h,), YHe=h / 3, N_eff=h + 3).checked().omega_cdm
        )

    d_h, d_m = jax.jit(jax.grad(omega_cdm, argnums=(0, 1)))(0.7, 0.3)
    step = 1e-5
    numeric = (omega_cdm(0.7 + step, 0.3) - omega_cdm(0.7 - step, 0.3)) / (2 * step)
    assert abs(float(d_m) - 0.49) < 1e-15
    assert abs(float(d_h) - float(numeric)) < 1e-9
    tangent = jax.jvp(omega_cdm, (0.7, 0.3), (1.0, 0.0))[1]
    assert abs(float(tangent) - float(d_h)) < 1e-15


def test_gradient_with_respect_to_a_cosmology():
    cosmo = Cosmology()
    gradient = jax.grad(lambda c: c.checked().Omega_Lambda)(cosmo)
    assert isinstance(gradient, Cosmology)
    assert abs(float(gradient.omega_b) + 1.0 / 0.6736**2) < 1e-14
    assert float(gradient.n_s) == 0.0
    step = 1e-4
    up, down = (cosmo.replace(m_ncdm=0.06 + s).Omega_Lambda for s in (step, -step))
    assert abs(float(gradient.m_ncdm[0]) - float(up - down) / (2 * step)) < 1e-9


def test_jit_tree_at_and_replace_of_traced_values():
    cosmo = Cosmology()
    double = jax.jit(lambda c: c.replace(omega_b=2.0 * c.omega_b, z_reio=9.0 * c.h).checked())(cosmo)
    assert float(double.omega_b) == 2 * 0.02237 and double.tau_reio is None
    assert float(eqx.tree_at(lambda c: c.h, cosmo, jnp.float64(0.7)).H0) == 70.0
    traced = jax.jit(lambda h: Cosmology(h=h))(0.6736)
    assert bool(eqx.tree_equal(traced, cosmo))


def test_vmap_over_constructor_and_over_leaves():
    h = jnp.linspace(0.6, 0.7, 3)
    batch = jax.vmap(lambda h: Cosmology(h=h))(h)
    assert batch.m_ncdm.shape == (3, 1) and batch.N_ncdm == 1
    each = [float(Cosmology(h=value).Omega_Lambda) for value in h.tolist()]
    np.testing.assert_allclose(jax.vmap(lambda c: c.checked().Omega_Lambda)(batch), each, rtol=0, atol=1e-15)
    np.testing.assert_allclose(batch.Omega_Lambda, each, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(batch.checked().h, h)


def test_bad_concrete_values_raise_while_tracing():
    with pytest.raises(errors.ParameterRangeError, match="omega_b = -1"):
        jax.jit(lambda h: Cosmology(h=h, omega_b=-1.0))(0.7)
    with pytest.raises(errors.ConflictingParametersError):
        jax.jit(lambda h: Cosmology(h=h, H0=70.0))(0.7)


@pytest.mark.parametrize("name", [*SCALARS, "m_ncdm", "T_ncdm", "deg_ncdm", "YHe"])
def test_checked_finds_bad_traced_values(name):
    good = Cosmology(YHe=0.24)
    bad = eqx.tree_at(lambda c: getattr(c, name), good, getattr(good, name) * jnp.nan)
    with pytest.raises(errors.ParameterRangeError, match=name):
        bad.checked()
    poisoned = jax.jit(lambda c: c.checked(on_error="nan"))
    assert np.all(np.isnan(getattr(poisoned(bad), name)))
    assert bool(eqx.tree_equal(poisoned(good), good))


def test_checked_finds_densities_above_critical_for_one_member_of_a_batch():
    batch = jax.vmap(lambda h: Cosmology(h=h).checked(on_error="nan").h)(jnp.array([0.67, 0.3, 0.7]))
    np.testing.assert_array_equal(batch, [0.67, np.nan, 0.7])


def test_checked_raises_at_run_time_on_request():
    run = eqx.filter_jit(lambda h: Cosmology(h=h).checked(on_error="raise").H0)
    assert float(run(jnp.float64(0.7))) == 70.0
    with pytest.raises(eqx.EquinoxRuntimeError, match="ParameterRangeError: h must be finite"):
        jax.block_until_ready(run(jnp.float64(5.0)))
