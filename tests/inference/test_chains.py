"""Chains: statistics, diagnostics, files, and what getdist and arviz read of them."""

import numpy as np
import pytest

from boltzax.errors import ConflictingParametersError, LikelihoodDataError
from boltzax.inference.chains import Chain, effective_size, from_draws

NAMES, MEAN, SIGMA = ("h", "n_s"), np.array([0.7, 0.96]), np.array([0.01, 0.004])


def markov(chains=4, draws=500, shift=0.0) -> Chain:
    x = MEAN + SIGMA * np.random.default_rng(0).normal(size=(chains, draws, 2))
    x[0] += shift * SIGMA
    logp = -0.5 * np.sum(((x - MEAN) / SIGMA) ** 2, axis=-1)
    bounds = {"h": (0.1, 3.0), "n_s": (-np.inf, np.inf)}
    return from_draws(NAMES, x, {"H0": 100.0 * x[..., 0]}, logp, bounds=bounds, info={"diverging": 0.0 * logp})


def weighted() -> Chain:
    """Draws from a Gaussian twice as wide, weighted back."""
    z = 2.0 * np.random.default_rng(1).normal(size=(1, 4000, 2))
    logp = -0.5 * np.sum(z**2, axis=-1)
    x = MEAN + SIGMA * z
    return from_draws(NAMES, x, {"H0": 100.0 * x[..., 0]}, logp, weights=np.exp(0.75 * logp))


@pytest.mark.parametrize("make", [markov, weighted])
def test_means_and_widths(make):
    chain = make()
    for i, name in enumerate(NAMES):
        assert chain.mean(name) == pytest.approx(MEAN[i], abs=0.1 * SIGMA[i])
        assert chain.std(name) == pytest.approx(SIGMA[i], rel=0.06)
    assert chain.mean("H0") == pytest.approx(100.0 * chain.mean("h"))


def half_without_weight() -> Chain:
    """Every other draw has no weight: the theory could not follow, and derived parameters are NaN."""
    chain = weighted()
    chain.weights[0, ::2], chain.log_posterior[0, ::2], chain.samples["H0"][0, ::2] = 0.0, -np.inf, np.nan
    return chain


def test_draws_without_weight_do_not_count():
    chain, whole = half_without_weight(), weighted()
    for name, values in whole.samples.items():
        expected = np.average(values[0, 1::2], weights=whole.weights[0, 1::2])
        assert chain.mean(name) == pytest.approx(expected)
        assert chain.std(name) == pytest.approx(whole.std(name), rel=0.1)


def test_effective_size():
    assert effective_size(np.ones(7)) == pytest.approx(7.0)
    assert effective_size(np.array([1.0, 0.0, 0.0])) == pytest.approx(1.0)
    assert effective_size(np.zeros(3)) == 0.0
    assert weighted().diagnostics()["ess"] < 3000


def test_diagnostics_see_chains_that_disagree():
    good, bad = markov().diagnostics(), markov(shift=2.0).diagnostics()
    assert good["rhat"] < 1.01 and good["ess"] > 1000 and good["divergences"] == 0.0
    assert bad["rhat"] > 1.1


@pytest.mark.parametrize("make", [markov, weighted, half_without_weight])
def test_files_are_read_back_by_getdist_and_arviz(make, tmp_path):
    getdist, az = pytest.importorskip("getdist"), pytest.importorskip("arviz")
    chain = make()
    names = chain.save(tmp_path)
    assert {"chain.npz", "chain_1.txt", "chain.paramnames", "chain.ranges", "chain.nc"} <= set(names)
    assert sorted(names) == sorted(p.name for p in tmp_path.iterdir())
    read = getdist.loadMCSamples(str(tmp_path / "chain"), settings={"ignore_rows": 0})
    for source in (read, chain.to_getdist()):
        assert source.mean("h") == pytest.approx(chain.mean("h"), rel=1e-8)
        assert source.std("H0") == pytest.approx(chain.std("H0"), rel=1e-6)
        assert source.getParamNames().parWithName("H0").isDerived
    data = az.from_netcdf(tmp_path / "chain.nc")
    assert float(data.posterior["n_s"].mean()) == pytest.approx(MEAN[1], abs=0.15 * SIGMA[1])
    assert data.posterior["n_s"].shape[1] == (500 if make is markov else int(chain.diagnostics()["ess"]))
    again = Chain.load(tmp_path)
    np.testing.assert_array_equal(again.samples["H0"], chain.samples["H0"])
    assert again.sampled == NAMES and again.bounds == chain.bounds and set(again.info) == set(chain.info)


def test_no_chain_to_load(tmp_path):
    with pytest.raises(LikelihoodDataError, match="no chain"):
        Chain.load(tmp_path)


def test_chains_of_an_array_are_joined(tmp_path):
    parts = [markov(chains=n) for n in (2, 1)]
    for i, part in enumerate(parts):
        part.save(tmp_path / str(i))
    joined = Chain.load(tmp_path / "0", tmp_path / "1")
    assert joined.weights.shape == (3, 500) and joined.bounds == parts[0].bounds
    for n in joined.samples:
        np.testing.assert_array_equal(joined.samples[n], np.concatenate([p.samples[n] for p in parts]))
    assert joined.info["diverging"].shape == joined.log_posterior.shape == (3, 500)
    markov(draws=400).save(tmp_path / "short")
    weighted().save(tmp_path / "weighted")
    for others in (("0", "short"), ("weighted", "weighted")):
        with pytest.raises(ConflictingParametersError):
            Chain.load(*(tmp_path / name for name in others))
    with pytest.raises(LikelihoodDataError, match="no chain can be read"):
        Chain.load(tmp_path / "0", tmp_path / "nowhere")
