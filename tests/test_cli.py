"""The command line: what it writes, and what it refuses. The solver is replaced by closed forms of the parameters."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import yaml

import boltzax
from boltzax import cli, comparison, plots
from boltzax.cosmology import Cosmology
from boltzax.errors import BoltzaxError
from boltzax.parameters import PARAMETERS

from .fake_solver import FakeOutputs, FakePrecision, fake_solve

FILES = ["pk.txt", "spectra.npz", "spectra.png", "spectra_lensed.txt", "spectra_unlensed.txt"]


@pytest.fixture(autouse=True)
def fake_solver(monkeypatch, tmp_path):
    """Solver replaced, working folder empty, no compilation cache; returns the list of calls of `solve`."""
    calls = []

    def solve(*args, **kwargs):
        calls.append(args)
        return fake_solve(*args, **kwargs)

    for name, value in (("solve", solve), ("Outputs", FakeOutputs), ("Precision", FakePrecision)):
        monkeypatch.setattr(boltzax, name, value, raising=False)
    monkeypatch.setenv("BOLTZAX_CACHE_DIR", "off")
    monkeypatch.delenv("BOLTZAX_ON_ERROR", raising=False)
    monkeypatch.chdir(tmp_path)
    return calls


def read_header(path):
    return [line[2:] for line in path.read_text().splitlines() if line.startswith("# ")]


# -- what is written -------------------------------------------------------------------------------------------------


def test_no_arguments_compute_the_defaults(tmp_path, capsys):
    assert cli.main([]) == 0
    out = tmp_path / "boltzax_out"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boltzax_out"]
    assert sorted(path.name for path in out.iterdir()) == FILES
    expected = fake_solve(Cosmology(), FakeOutputs(), FakePrecision())
    for kind, names in (("lensed", ("tt", "te", "ee", "bb", "pp")), ("unlensed", ("tt", "te", "ee", "pp"))):
        table = np.loadtxt(out / f"spectra_{kind}.txt", unpack=True)
        D_l = getattr(expected, f"{kind}_cl").D_l("muK2")
        np.testing.assert_array_equal(table[0], np.arange(2, 2501))
        for column, name in zip(table[1:], names, strict=True):
            np.testing.assert_allclose(column, getattr(D_l, name)[2:], rtol=1e-10)
        header = read_header(out / f"spectra_{kind}.txt")
        assert "h = 0.6736; omega_b = 0.02237" in header[1]
        assert f"{kind} spectra of scalar modes" in header[2] and "[muK^2]" in header[2]
        assert header[3].split() == ["l", *(name.upper() if name != "pp" else "phiphi" for name in names)]
    k, pk, pk_cb = np.loadtxt(out / "pk.txt", unpack=True)
    assert k[0] / 0.6736 == pytest.approx(1e-4, rel=1e-10) and 0.95 < k[-1] / 0.6736 < 1.0
    np.testing.assert_allclose(pk, expected.pk_lin(k, 0.0), rtol=2e-10)
    np.testing.assert_allclose(pk_cb, 0.9 * pk, rtol=2e-10)
    assert "[Mpc^3]" in read_header(out / "pk.txt")[-1] and "[1/Mpc]" in read_header(out / "pk.txt")[-1]
    printed = capsys.readouterr()
    assert "sigma8           0.6736" in printed.out and "age              6.736 Gyr" in printed.out
    assert "first evaluation, with compilation" in printed.out
    assert "first call compiles" in printed.err


def test_tensors_and_nonlinear_spectra_are_written_where_asked_for(tmp_path):
    """Totals of both modes under a header that says so, tensors alone in a file, P(k) in a further column."""
    assert cli.main(["--l-max", "40", "--r", "0.1", "--nonlinear", "halofit"]) == 0
    out = tmp_path / "boltzax_out"
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "spectra_tensor.txt"])
    expected = fake_solve(Cosmology(r=0.1), FakeOutputs(40, "halofit"), FakePrecision())
    D_l = expected.tensor_cl.D_l("muK2")
    table = np.loadtxt(out / "spectra_tensor.txt")
    np.testing.assert_allclose(table[:, 1:].T, [v[2:] for v in (D_l.tt, D_l.te, D_l.ee, D_l.bb)], rtol=1e-10)
    assert "of scalar and tensor modes" in read_header(out / "spectra_lensed.txt")[2]
    assert read_header(out / "spectra_unlensed.txt")[3].split() == ["l", "TT", "TE", "EE", "BB", "phiphi"]
    _, pk, _, nonlinear = np.loadtxt(out / "pk.txt", unpack=True)
    np.testing.assert_allclose(nonlinear, 2.0 * pk, rtol=2e-10)
    assert "by halofit" in read_header(out / "pk.txt")[-2]
    with np.load(out / "spectra.npz") as data:
        np.testing.assert_array_equal(data["pk_nonlinear"], expected.pk(data["k"], 0.0))
        np.testing.assert_array_equal(data["tensor_bb"], expected.tensor_cl.bb)


def test_npz_holds_everything(tmp_path):
    assert (
        cli.main(["spectra", "--l-max", "40", "--no-plot", "--out", "a/b", "--h", "0.7", "--m_ncdm", "0.02,0.03"]) == 0
    )
    assert "spectra.png" not in [path.name for path in (tmp_path / "a/b").iterdir()]
    cosmo = Cosmology(h=0.7, m_ncdm=(0.02, 0.03))
    expected = fake_solve(cosmo, FakeOutputs(40), FakePrecision())
    with np.load(tmp_path / "a/b/spectra.npz") as data:
        for kind in ("lensed", "unlensed"):
            for name in ("tt", "te", "ee", "bb", "pp", "tp", "ep"):
                np.testing.assert_allclose(
                    data[f"{kind}_{name}"], getattr(getattr(expected, f"{kind}_cl"), name), rtol=1e-14
                )
        np.testing.assert_array_equal(data["ell"], np.arange(41))
        assert json.loads(str(data["parameters"])) == cosmo.to_dict()
        assert data["derived_sigma8"] == 0.7


def test_every_parameter_is_an_option(tmp_path):
    one_each = {"H0": "70", "omega_b": "0.021", "omega_m": "0.14", "N_eff": "3.1", "m_ncdm": "0.1,0.2", "N_ncdm": "2"}
    one_each |= {"T_ncdm": "0.7,0.71", "deg_ncdm": "1", "T_cmb": "2.7", "YHe": "0.24", "A_s": "2e-9", "n_s": "0.95"}
    one_each |= {"k_pivot": "0.04", "tau_reio": "0.06", "reionization_width": "0.4", "reionization_exponent": "1.6"}
    one_each |= {"helium_fullreio_redshift": "3.4", "helium_fullreio_width": "0.6", "recombination": "recfast"}
    one_each |= {"alpha_s": "0.01", "beta_s": "-0.01", "r": "0.1", "n_t": "scc", "alpha_t": "0.02", "A_lens": "1.1"}
    one_each |= {"w0_fld": "-0.9", "wa_fld": "0.1", "cs2_fld": "0.8", "use_ppf": "no", "log10T_heat_hmcode": "7.8"}
    one_each |= {"varying_alpha": "1.01", "varying_me": "0.99", "DM_annihilation_efficiency": "1e-23"}
    angles = {"theta_s_100", "theta_star_100", "thetastar", "cosmomc_theta"}
    groups = (
        {"m_ncdm", "omega_ncdm", "Omega_ncdm"},
        {"h", "H0"} | angles,
        {"omega_b", "Omega_b"},
        {"omega_cdm", "Omega_cdm", "omega_m", "Omega_m"},
    )
    groups += ({"N_ur", "N_eff"}, {"A_s", "ln_A_s_1e10"}, {"tau_reio", "z_reio"})
    groups += ({"Omega_k"},)  # not together with tensors or a fluid
    assert set(PARAMETERS) - set(one_each) == set().union(*groups) - set(one_each)
    arguments = [text for name, value in one_each.items() for text in (f"--{name}", value)]
    assert cli.main([*arguments, "--l-max", "20", "--no-plot"]) == 0
    with np.load(tmp_path / "boltzax_out/spectra.npz") as data:
        assert json.loads(str(data["parameters"])) == Cosmology.from_dict(one_each).to_dict()


def test_options_override_the_file(tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"H0": 70.0, "tau_reio": 0.05, "n_s": 0.96}))
    base = ["spectra", "--params", "p.yaml", "--l-max", "20", "--no-plot"]
    for options, expected in (
        (["--h=0.65", "--tau_reio", "0.06"], Cosmology(h=0.65, tau_reio=0.06, n_s=0.96)),
        (["--z_reio", "8"], Cosmology(H0=70.0, z_reio=8.0, n_s=0.96)),
    ):
        assert cli.main([*base, *options]) == 0
        with np.load(tmp_path / "boltzax_out/spectra.npz") as data:
            assert json.loads(str(data["parameters"])) == expected.to_dict()


@pytest.mark.parametrize("preset, factor", [("default", 1.0), ("fast", 0.5), ("reference", 2.0)])
def test_precision_presets(tmp_path, preset, factor):
    assert cli.main(["--precision", preset, "--l-max", "20", "--no-plot"]) == 0
    expected = fake_solve(Cosmology(), FakeOutputs(20), FakePrecision(factor))
    with np.load(tmp_path / "boltzax_out/spectra.npz") as data:
        np.testing.assert_allclose(data["lensed_tt"], expected.lensed_cl.tt, rtol=1e-14)


def test_an_existing_folder_keeps_its_other_files(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "pk.txt").write_text("old")
    assert cli.main(["--l-max", "20", "--no-plot", "--out", str(out)]) == 0
    assert (out / "notes.txt").read_text() == "mine" and np.loadtxt(out / "pk.txt").shape[1] == 3
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_compare_writes_and_prints_the_differences(tmp_path, capsys, monkeypatch):
    def class_spectra(cosmo, l_max, k, reference=False, nonlinear=None):
        results = fake_solve(cosmo, FakeOutputs(l_max), FakePrecision())
        spectra = cli._arrays(results, k)
        names = [name for name in comparison.DIFFERENCES if name in spectra]
        return {name: spectra[name] / (1.001 if name == "lensed_tt" else 1.0) for name in names}

    monkeypatch.setattr(comparison, "class_spectra", class_spectra)
    monkeypatch.setattr(comparison, "import_classy", lambda: None)
    assert cli.main(["compare", "--l-max", "60"]) == 0
    out = tmp_path / "boltzax_out"
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "comparison.npz", "comparison.png"])
    with np.load(out / "comparison.npz") as data:
        np.testing.assert_allclose(data["difference_lensed_tt"][2:], 1e-3, rtol=1e-10)
        np.testing.assert_allclose(data["difference_lensed_ee"][2:], 0.0, atol=1e-15)
        np.testing.assert_allclose(data["difference_pk"], 0.0, atol=1e-15)
        np.testing.assert_allclose(data["difference_lensed_te"][2:], 0.0, atol=1e-15)
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.startswith("TT lensed")]
    assert [row[2:] for row in rows] == [["l", "2-29", "1.0e-03", "1.0e-03"], ["l", "30-60", "1.0e-03", "1.0e-03"]]
    assert "good to about 1e-3" in printed
    assert cli.main(["compare", "--l-max", "60", "--reference", "--no-plot"]) == 0
    assert "good to about 1e-3" not in capsys.readouterr().out


def test_compilation_cache_folder(monkeypatch):
    seen = {}
    monkeypatch.setattr(jax.config, "update", lambda name, value: seen.update({name: value}))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    cli._use_cache()
    assert seen == {}
    monkeypatch.delenv("BOLTZAX_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    cli._use_cache()
    assert seen == {"jax_compilation_cache_dir": "/x/boltzax/jax"}
    monkeypatch.setenv("BOLTZAX_CACHE_DIR", "/y")
    cli._use_cache()
    assert seen == {"jax_compilation_cache_dir": "/y"}


def test_version_and_help(capsys):
    for arguments, text in (
        (["--version"], "boltzax "),
        (["--help"], "Planck 2018"),
        (["spectra", "-h"], "--omega_cdm X"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 0 and text in capsys.readouterr().out


# -- what is refused -------------------------------------------------------------------------------------------------


def refused(arguments, capsys, tmp_path, before=()):
    """The one line on stderr of a refused call, which must leave no file behind."""
    assert cli.main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("boltzax: error: ")
    assert sorted(path.name for path in tmp_path.rglob("*")) == sorted(before)
    return lines[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--omga_b", "0.02"], "unknown option or parameter 'omga_b': did you mean 'omega_b'?"),
        (["--omega_k=0.1"], "unknown option or parameter 'omega_k'"),
        (["--lmax", "100"], "did you mean 'l-max'?"),
        (["spectrum"], "unknown command 'spectrum': did you mean 'spectra'?"),
        (["spectra", "extra"], "unexpected argument 'extra'"),
        (["--h"], "expected one argument"),
        (["--h", "fast"], "h must be a number, not 'fast'"),
        (["--h", "nan"], "h = nan must be finite"),
        (["--h", "0.7", "--H0", "70"], "give only one of h and H0"),
        (["--omega_b", "-0.02"], "omega_b = -0.02 must be finite, above 0"),
        (["--N_ncdm", "3"], "needs m_ncdm with 3 masses"),
        (["--recombination", "peebles"], "'hyrec' or 'recfast'"),
        (["--l-max", "1"], "--l-max must be at least 2, not 1"),
        (["--l-max", "9001"], "beyond the tables"),
        (["--l-max", "many"], "invalid int value: 'many'"),
        (["--precision", "best"], "invalid choice: 'best'"),
        (["--params", "absent.yaml"], "cannot read parameter file 'absent.yaml': No such file"),
        (["--params", "."], "cannot read parameter file '.': Is a directory"),
        (["--reference"], "unknown option or parameter 'reference'"),
    ],
)
def test_bad_arguments(arguments, message, capsys, tmp_path, fake_solver):
    assert message in refused(arguments, capsys, tmp_path)
    assert not fake_solver


@pytest.mark.parametrize(
    "content, message",
    [
        ("h: [0.7", "is not YAML"),
        ("0.7", "must map parameter names to values"),
        ("hh: 0.7", "unknown cosmological parameter 'hh'"),
        ("h:", "'h' has no value"),
        ("h: 0.2", "exceed the critical"),
    ],
)
def test_bad_parameter_files(content, message, capsys, tmp_path, fake_solver):
    (tmp_path / "p.yaml").write_text(content)
    assert message in refused(["--params", "p.yaml"], capsys, tmp_path, before=["p.yaml"])
    assert not fake_solver


def test_output_folder_that_cannot_be_written(capsys, tmp_path, fake_solver, monkeypatch):
    (tmp_path / "file").write_text("")
    assert "--out file is not a folder" in refused(["--out", "file"], capsys, tmp_path, before=["file"])
    assert "is not a folder" in refused(["--out", "file/deep/er"], capsys, tmp_path, before=["file"])

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cli.tempfile, "mkdtemp", refuse)
    assert "cannot write to --out new: Permission denied" in refused(
        ["--out", "new"], capsys, tmp_path, before=["file"]
    )
    assert not fake_solver


@pytest.mark.parametrize(
    "module, arguments, message",
    [
        ("matplotlib.figure", ["spectra"], 'pip install "boltzax[plots]"'),
        ("classy", ["compare", "--no-plot"], 'pip install "boltzax[oracle]"'),
        ("yaml", ["--params", "p.yaml"], 'pip install "boltzax[cli]"'),
    ],
)
def test_missing_packages_are_named_before_work(module, arguments, message, capsys, tmp_path, fake_solver, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    assert message in refused(arguments, capsys, tmp_path)
    assert not fake_solver


def test_matplotlib_is_not_needed_without_figure(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["--no-plot", "--l-max", "20"]) == 0


def last_line(arguments, capsys, code=2):
    assert cli.main(arguments) == code
    return capsys.readouterr().err.splitlines()[-1]


def test_refusals_of_the_solver_are_one_line(capsys, tmp_path):
    message = "boltzax: error: tau_reio is below what recombination leaves"
    assert last_line(["--tau_reio", "1e-5", "--l-max", "20", "--no-plot"], capsys) == message
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error, code, message",
    [
        (BoltzaxError("no such thing"), 2, "no such thing"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
        (KeyboardInterrupt(), 130, "interrupted, nothing written"),
    ],
)
def test_a_failure_while_writing_leaves_no_files(error, code, message, capsys, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(plots, "plot_spectra", fail)  # the last file of the set
    assert last_line(["--l-max", "20", "--out", "a/b"], capsys, code) == f"boltzax: error: {message}"
    assert not list(tmp_path.iterdir())


def test_exit_code_of_the_process(tmp_path):
    run = subprocess.run(
        [sys.executable, "-m", "boltzax.cli", "--h", "5"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert run.returncode == 2 and run.stdout == "" and not list(tmp_path.iterdir())
    assert run.stderr == "boltzax: error: h = 5 must be finite, above 0.1 and below 3\n"
