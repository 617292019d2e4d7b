"""NUTS of both engines on a posterior known otherwise; stopping and resuming changes nothing."""

import numpy as np
import pytest

from boltzax import inference
from boltzax.errors import ConflictingParametersError
from boltzax.inference.laplace import importance_sample
from boltzax.inference.nuts import ENGINES, nuts, with_derived

from . import synthetic
from .conftest import powers

for package in ENGINES:
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def close():
    """A best fit near a lower bound, which cuts the posterior one standard deviation below it."""
    model = inference.Model(
        [powers(0.15)], ("omega_b", "n_s"), fixed={"calibration": 1.0}, bounds={"n_s": (0.91, 1.2)},
        theory=synthetic.theory,
    )  # fmt: skip
    best = inference.fit(model, progress=False)
    edge = best.x[1] - best.sigma[1]
    model.bounds[1, 0] = edge
    return best


@pytest.fixture(scope="module")
def expected(close):
    return importance_sample(close, draws=4000, widen=1.3, progress=False)


@pytest.mark.parametrize("engine", ENGINES)
def test_draws_agree_with_importance_sampling(close, expected, engine):
    chain = nuts(close, draws=500, warmup=100, chains=2, engine=engine, progress=False)
    assert chain.samples["n_s"].min() >= close.model.bounds[1, 0]
    assert chain.diagnostics()["rhat"] < 1.03 and chain.diagnostics()["ess"] > 200
    for name in close.model.names:
        assert chain.mean(name) == pytest.approx(expected.mean(name), abs=0.15 * expected.std(name))
        assert chain.std(name) == pytest.approx(expected.std(name), rel=0.12)
    np.testing.assert_allclose(
        chain.log_posterior[0, 0], close.model.log_posterior([chain.samples[n][0, 0] for n in close.model.names])
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_stops_and_resumes_is_the_same_run(close, engine, tmp_path):
    whole = nuts(close, draws=16, warmup=8, engine=engine, seed=5, progress=False)
    nuts(close, draws=5, warmup=8, engine=engine, seed=5, checkpoint=tmp_path, every=4, progress=False)
    resumed = nuts(close, draws=16, warmup=8, engine=engine, seed=5, checkpoint=tmp_path, progress=False)
    np.testing.assert_allclose(resumed.samples["omega_b"], whole.samples["omega_b"], rtol=1e-12)
    np.testing.assert_array_equal(resumed.info["n_steps"], whole.info["n_steps"])
    with pytest.raises(ConflictingParametersError, match="another run"):
        nuts(close, draws=16, warmup=8, engine=engine, seed=6, checkpoint=tmp_path, progress=False)


def test_derived_parameters_of_a_chain(close):
    chain = with_derived(close, nuts(close, draws=3, warmup=3, progress=False), progress=False)
    assert chain.samples["sigma8"].shape == (1, 3) and "n_steps" in chain.info


def test_unknown_engine(close):
    with pytest.raises(ValueError, match="numpyro"):
        nuts(close, engine="stan")
