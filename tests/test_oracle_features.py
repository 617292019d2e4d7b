"""Extensions at random points: what is drawn, what CLASS is given, and what the report says. Codes are replaced."""

import itertools

import numpy as np
import pytest
from oracle import codes, early_dark_energy, features, kept, prior, runs, workers
from oracle.errors import LABELS
from tests.test_oracle_gate import flat, in_process

import boltzax


def test_points_are_drawn_in_the_stated_ranges():
    for name, feature in features.FEATURES.items():
        points = [features.draw(name, i, 3) for i in range(50)]
        assert points[4] == features.draw(name, 4, 3) and points[4] != features.draw(name, 4, 5)
        for point in points:
            assert set(features.FEATURES[name].required) <= set(LABELS)
            assert prior.RANGES["h"][0] < point["h"] < prior.RANGES["h"][1]
        assert all(p != q for p, q in itertools.pairwise(points)), feature.title
        light = [i for i in range(50) if not points[i]["m_ncdm"]]
        assert light == ([] if name in ("neutrinos", "together") else [i for i in range(50) if i % 10 != 9])
        for i in light:
            before, species = prior.draw(i, 3), prior.PER_SPECIES
            assert points[i]["N_ur"] == pytest.approx(before["N_ur"] + species * len(before["m_ncdm"]), rel=1e-14)
    w = [features.draw("w0wa", i, 3) for i in range(50)]
    assert all(p["w0_fld"] + p["wa_fld"] < -0.1 for p in w)
    assert {np.sign(features.draw("curvature", i, 3)["Omega_k"]) for i in range(20)} == {-1.0, 1.0}


def test_dark_matter_that_decays_is_taken_from_what_does_not():
    point = features.draw("decaying", 0, 3)
    settings = features.class_settings("decaying", point, "point")
    built = features.FEATURES["decaying"].build(point)
    assert settings["omega_cdm"] == pytest.approx(built["omega_cdm"])
    assert settings["omega_ini_dcdm"] == pytest.approx(float(built["fluids"][0].omega_ini_dcdm))
    assert settings["omega_ini_dcdm"] + settings["omega_cdm"] == pytest.approx(point["omega_cdm"])


def test_six_at_once():
    """CLASS is given what it is given for each, and boltzax's cosmology has all of it."""
    point = features.draw("together", 0, 3)
    settings = features.class_settings("together", point, "point")
    for name in features.TOGETHER:
        own = {key: point[key] for key in features.FEATURES[name].draw(np.random.default_rng(0))}
        alone = features.FEATURES[name].settings(features.draw(name, 0, 3) | own)
        assert alone.items() <= settings.items(), name
    assert settings["N_ncdm"] == 3 and settings["YHe"] == "BBN"
    built = boltzax.Cosmology(**features.FEATURES["together"].build(point))
    assert float(built.fluids[0].N_idr) == point["N_idr"] and float(built.alpha_s) == point["alpha_s"]


def test_curved_space_needs_other_settings_of_class():
    """Its flat radial functions from k tau_0 = 4500 on, a denser sampling where curvature is strong."""
    for Omega_k in (-0.1, -0.01, 0.03):
        settings = features.curved_sampling(Omega_k)
        nu = settings["hyper_flat_approximation_nu"]
        assert nu * 3.3 * abs(Omega_k) ** 0.5 == pytest.approx(4500.0, rel=0.02)
        assert ("l_switch_limber" in settings) == (abs(Omega_k) > 0.05)
    light, massive = (features.draw("curvature", index, 3) for index in (8, 9))
    gauges = [features.class_settings("curvature", point, "point")["gauge"] for point in (light, massive)]
    assert not light["m_ncdm"] and massive["m_ncdm"] and gauges == ["synchronous", "newtonian"]


def test_isocurvature_starts_earlier_in_class():
    start = "start_large_k_at_tau_h_over_tau_k"
    running = features.class_settings("running", features.draw("running", 0, 3), "point")
    for kind in ("cdi", "bi", "nid", "niv"):
        settings = features.class_settings(kind, features.draw(kind, 0, 3), "point")
        assert settings["ic"] == f"ad,{kind}" and settings[start] < 0.2 * running[start]
        assert f"c_ad_{kind}" in settings and f"f_{kind}" in settings


@pytest.fixture
def command(monkeypatch, tmp_path):
    """command(boltzax, *arguments): exit code where boltzax is a function of the point and CLASS is always `flat`."""
    monkeypatch.setattr(workers, "run", in_process)
    monkeypatch.setattr(codes, "require", lambda name: None)
    monkeypatch.setattr(runs, "class_version", lambda: "none")
    monkeypatch.setattr(runs, "cached", lambda kind, settings, run, version: flat(features.L_MAX))
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    monkeypatch.setattr(codes, "flatten", lambda result: result)

    def go(boltzax, *arguments):
        monkeypatch.setattr(codes, "solve", lambda point, l_max: boltzax(point))
        return features.main(["running", "w0wa", "--points", "2", *arguments])

    return go


def scaled(**factors):
    return {name: v * factors.get(name, 1.0) for name, v in flat(features.L_MAX).items()}


def test_a_report(command, capsys, tmp_path):
    out = tmp_path / "features.json"
    assert command(lambda point: scaled(lensed_tt=1.0005), "--json", str(out), "--keep") == 0
    text = capsys.readouterr().out
    assert "every requirement is met" in text and "| running of the scalar index | 2 | 5.0e-04 |" in text
    assert len(list(tmp_path.glob("spectra_*.npz"))) == 4


def test_multipoles_of_closed_space_that_class_has_wrong_are_left_out(command, monkeypatch):
    found = {}
    for index in (0, 1):
        spectra = flat(features.L_MAX)
        spectra["lensed_tt"][2] *= 1.002
        monkeypatch.setattr(codes, "solve", lambda point, l_max, spectra=spectra: spectra)
        Omega_k = features.draw("curvature", index, 2026)["Omega_k"]
        found[np.sign(Omega_k)] = features.compare("curvature", index, 2026, "point", False)["lensed_tt"]
    assert found[1.0] == (pytest.approx(2e-3), 2) and found[-1.0][0] < 1e-12


def test_where_class_fails_other_settings_are_tried(monkeypatch):
    """At the tolerance of the reference CLASS does not solve the thermodynamics of some points with annihilation."""
    error, asked = pytest.importorskip("classy").CosmoComputationError, []

    def fails_at_first(settings, keep):
        asked.append(settings["tol_thermo_integration"])
        if len(asked) == 1:
            raise error("step size too small")
        return flat(features.L_MAX)

    monkeypatch.setattr(kept, "spectra", fails_at_first)
    point = features.draw("annihilation", 2, 3)
    assert set(features.reference("annihilation", point, "point", False)) == set(flat(features.L_MAX))
    assert asked == [1e-7, 1e-6]
    asked.clear()
    with pytest.raises(error, match="step size"):
        features.reference("running", features.draw("running", 2, 3), "point", False)


def test_other_rows_of_the_docs_are_kept(command, monkeypatch, tmp_path):
    page = tmp_path / "features.md"
    row = "| A_lens | 3 | 1.0e-05 | `python -m oracle.features A_lens` |"
    old = "| running of the scalar index | 9 | 1.0e-05 | `python -m oracle.features running` |"
    page.write_text(f"<!-- features table: begin -->\n{row}\n{old}\n<!-- features table: end -->\nthe rest\n")
    monkeypatch.setattr(features, "DOCS", page)
    assert command(lambda point: scaled(), "--update-docs") == 0
    text = page.read_text()
    assert row in text and old not in text and "| running of the scalar index | 2 | 0.0e+00 |" in text
    assert text.endswith("the rest\n")


def test_what_class_lacks_is_compared_as_a_response_of_camb(monkeypatch):
    """The spectra that are expected are ours without times CAMB's ratio; in TE the correlation grows by CAMB's."""
    point = features.draw("early", 0, 3)
    at = {"lensed_tt": 1.1, "lensed_ee": 0.9, "lensed_te": 1.2, "lensed_pp": 0.95, "pk": 1.05}
    given = []

    def camb(settings, keep, code):
        given.append(settings)
        return scaled(**{name: 1.3 * x for name, x in at.items()} if settings["early"] else dict.fromkeys(at, 1.3))

    monkeypatch.setattr(kept, "spectra", camb)
    expected = scaled(**at | {"lensed_te": 1.2})

    def ours(point, settings, l_max):
        assert (settings["early"] is None) == ("fluids" not in point)
        return expected if "fluids" in point else scaled()

    monkeypatch.setattr(early_dark_energy, "solve", ours)
    found = features.compare("early", 0, 3, "point", False)
    assert max(error for error, _ in found.values()) < 1e-12
    now, plain = given
    assert now["early"] == {"w_n": 0.5, "fde_zc": point["fde_zc"], "zc": point["z_c"], "theta_i": point["theta_i"]}
    assert plain["early"] is None and now["nnu"] == pytest.approx(3.044) and point["N_ur"] != pytest.approx(3.044)
    built = boltzax.Cosmology(**features.FEATURES["early"].build(point))
    assert float(built.N_eff) == pytest.approx(3.044) and float(built.fluids[0].z_c) == point["z_c"]


def test_a_miss_and_a_failure_are_named(command, capsys):
    def boltzax(point):
        if point["h"] == prior.draw(1, 2026)["h"] and "w0_fld" in point:
            raise RuntimeError("no solution")
        return scaled(lensed_ee=1.0007 if "w0_fld" in point else 1.0)

    assert command(boltzax) == 1
    text = capsys.readouterr().out
    assert "w0wa, point 0: EE lensed 7.0e-04" in text and "running, point" not in text
    assert "w0wa 1 failed" in text and "no solution" in text
    assert "| **7.0e-04** |" in text
