"""`boltzax fit` on synthetic data with a theory in closed form: files, resuming, refusals."""

import json
from functools import partial

import numpy as np
import pytest

from boltzax import cli
from boltzax.inference import Chain, Model, command

from . import synthetic

ARGUMENTS = ["--likelihoods", "plik-lite,low-tt", "--free", "ln_A_s_1e10,tau_reio", "--h", "0.7", "--tau_reio", "0.06"]


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """Runs `boltzax fit` into tmp_path/out; returns exit code and folder."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    synthetic.write_plik_lite(data)
    synthetic.write_low_tt(data)
    monkeypatch.setattr(command, "Model", partial(Model, theory=synthetic.theory))
    for name, like in (("plik-lite", command.PlikLite), ("low-tt", command.LowTT)):
        monkeypatch.setitem(command.LIKELIHOODS, name, partial(like, sha256=None))
    monkeypatch.setenv("BOLTZAX_CACHE_DIR", "off")

    def run(*arguments):
        return cli.main(["fit", "--data", str(data), "--out", str(out), *ARGUMENTS, *arguments]), out

    return run


def test_importance_samples_and_their_resumption(fit, capsys):
    code, out = fit("--draws", "30")
    assert code == 0
    names = {path.name for path in out.iterdir()}
    expected = {"best_fit.json", "best_fit.png", "chain.npz", "chain_1.txt", "chain.paramnames", "corner.png"}
    assert expected | {"covariance.txt", "checkpoint"} <= names
    about = json.loads((out / "best_fit.json").read_text())
    assert about["fixed"] == {"h": 0.7} and about["priors"]["tau_reio"] == [0.0506, 0.0086]
    assert about["best_fit"]["tau_reio"] == pytest.approx(0.0506, abs=1e-3)  # nothing but the prior knows it
    assert np.loadtxt(out / "covariance.txt").shape == (3, 3)  # A_planck is free as well
    first = Chain.load(out)
    code, out = fit("--draws", "40", "--no-plot")
    assert code == 0
    np.testing.assert_allclose(Chain.load(out).samples["tau_reio"][:, :30], first.samples["tau_reio"])
    captured = capsys.readouterr()
    assert "chi2 plik-lite TTTEEE" in captured.out and "written to" in captured.out


def test_nuts_writes_chains_with_derived_parameters(fit, capsys):
    code, out = fit("--method", "nuts", "--draws", "6", "--warmup", "4", "--chains", "2", "--no-plot")
    assert code == 0
    chain = Chain.load(out)
    assert chain.samples["tau_reio"].shape == chain.samples["H0"].shape == (2, 6)
    assert (out / "chain_2.txt").exists() and "tau_reio" in capsys.readouterr().out


def test_fisher_only_and_another_model_in_the_same_folder(fit, capsys):
    code, out = fit("--method", "fisher", "--no-plot")
    assert code == 0 and not (out / "chain.npz").exists()
    assert "nonlinear='hmcode2020'" in json.loads((out / "best_fit.json").read_text())["outputs"]
    for other in (["--prior", "tau_reio=0.06,0.001"], ["--nonlinear", "none"]):
        code, _ = fit("--method", "fisher", "--no-plot", *other)
        assert code == 2 and "another model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--likelihoods", "plik-light"], "did you mean 'plik-lite'"),
        (["--prior", "tau_reio=0.06"], "must look like NAME=1.0,0.1"),
        (["--prior", "n_s=0.96,0.01"], "unknown free parameter in prior"),
        (["--draws", "0"], "at least 1"),
        (["--data", "nowhere"], "does not exist"),
        (["--drawz", "3"], "did you mean 'draws'"),
    ],
)
def test_bad_input_is_one_line_and_no_files(fit, capsys, arguments, message):
    code, out = fit(*arguments)
    error = capsys.readouterr().err
    assert code == 2 and message in error and error.count("\n") == 1
    assert not out.exists()
