"""Models, best fits and importance sampling with a theory in closed form; the chain rule with the real one."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL

import boltzax
from boltzax import inference
from boltzax.errors import (
    BoltzaxError,
    ConflictingParametersError,
    ConvergenceError,
    MissingParameterError,
    ParameterRangeError,
    UnknownParameterError,
)
from boltzax.inference.laplace import importance_sample

from . import synthetic
from .conftest import FREE, TRUTH, powers


def test_the_best_fit_of_noiseless_data_is_the_truth(best):
    assert best.chi2["total"] == pytest.approx(0.0, abs=1e-6)
    for name in FREE:
        assert best.values[name] == pytest.approx(float(getattr(TRUTH, name)), rel=1e-4)
    assert best.values["calibration"] == pytest.approx(1.0, abs=1e-5)
    assert best.steps[0] > 10.0


def test_fisher_is_the_curvature_of_the_posterior(model, best):
    """With vanishing residuals the Hessian of -ln posterior is J^T J exactly."""
    hessian = -np.asarray(jax.hessian(model.log_posterior)(jnp.asarray(best.x)))
    scale = np.sqrt(np.diag(hessian))
    np.testing.assert_allclose(best.fisher / np.outer(scale, scale), hessian / np.outer(scale, scale), atol=1e-5)
    assert best.sigma[FREE.index("tau_reio")] == pytest.approx(0.01)  # only its prior tells it from the amplitude
    np.testing.assert_allclose(best.covariance @ best.fisher, np.eye(len(scale)), atol=1e-6)


def test_linearize_agrees_with_the_gradient(model):
    x = model.start
    _, r, J = model.linearize(x)
    np.testing.assert_allclose(-(J.T @ r), jax.grad(model.log_posterior)(jnp.asarray(x)), rtol=1e-8)
    assert model.log_posterior(x) == pytest.approx(-0.5 * float(r @ r), rel=1e-12)
    assert model.chi2(x)["total"] == pytest.approx(float(r @ r), rel=1e-10)


def test_bounds_hold_and_the_rest_is_fitted_there():
    model = inference.Model(
        [powers(0.01)], FREE, priors={"tau_reio": (0.06, 0.01)}, bounds={"h": (0.6, 0.68)}, theory=synthetic.theory
    )
    best = inference.fit(model, progress=False)
    assert best.values["h"] == 0.68
    _, r, J = model.linearize(best.x)
    slope = np.asarray(J.T @ r) * best.sigma
    assert slope[0] < -1.0  # chi2 falls beyond the bound
    np.testing.assert_allclose(slope[1:], 0.0, atol=0.1)
    assert model.log_posterior(best.x + np.eye(7)[0] * 1e-3) == -np.inf


def test_alternative_names_and_own_cosmologies(model):
    """The same posterior in other parameters: derivatives follow through the constructor."""
    other = inference.Model(
        [powers(0.01)],
        free=("H0", "log_b"),
        cosmology=lambda p: TRUTH.replace(h=p["H0"] / 100.0, omega_b=jnp.exp(p["log_b"])),
        start={"H0": 67.0, "log_b": np.log(0.0223)},
        theory=synthetic.theory,
    )
    best = inference.fit(other, progress=False)
    assert best.values["H0"] == pytest.approx(69.0, abs=0.01)
    assert best.values["log_b"] == pytest.approx(np.log(0.0225), abs=1e-3)


def test_fixed_nuisance_parameters_are_not_free():
    model = inference.Model([powers(0.01)], ("h",), fixed={"calibration": 1.02, "n_s": 0.96}, theory=synthetic.theory)
    assert model.names == ("h",)
    assert model.nuisance(model.start) == {"calibration": 1.02}
    assert float(model.cosmology(model.start).n_s) == 0.96


def test_refusals():
    make = lambda *a, **k: inference.Model([powers(0.01)], *a, theory=synthetic.theory, **k)
    with pytest.raises(UnknownParameterError, match="omega_b"):
        make(("h", "omega_bb"))
    with pytest.raises(UnknownParameterError, match="prior"):
        make(("h",), priors={"n_s": (1.0, 0.1)})
    with pytest.raises(ConflictingParametersError, match="free and fixed"):
        make(("h",), fixed={"h": 0.7})
    with pytest.raises(ParameterRangeError, match="outside its bounds"):
        make(("h",), bounds={"h": (0.7, 0.8)})
    with pytest.raises(ParameterRangeError, match="standard deviation"):
        make(("h",), priors={"h": (0.7, 0.0)})
    with pytest.raises(MissingParameterError, match="likelihood"):
        inference.Model([], ("h",))
    with pytest.raises(ParameterRangeError, match="no likelihood and no prior constrains 'T_cmb'"):
        inference.fit(make(("h", "T_cmb")), progress=False)
    with pytest.raises(ConvergenceError, match="within 1"):
        inference.fit(make(FREE, priors={"tau_reio": (0.06, 0.01)}), max_steps=1, progress=False)


def test_importance_sampling_agrees_with_the_posterior_on_a_grid():
    """Two parameters, where the posterior can be summed over a grid; errors large enough that it is no Gaussian."""
    like = powers(0.15)
    model = inference.Model([like], ("omega_b", "n_s"), fixed={"calibration": 1.0}, theory=synthetic.theory)
    best = inference.fit(model, progress=False)
    axes = [m + s * np.linspace(-6, 6, 121) for m, s in zip(best.x, best.sigma, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    p = np.exp(np.asarray(jax.jit(jax.vmap(model.log_posterior))(jnp.asarray(grid))))
    chain = importance_sample(best, draws=800, progress=False)
    assert chain.diagnostics()["ess"] > 400
    for i, name in enumerate(model.names):
        mean = np.average(grid[:, i], weights=p)
        std = np.sqrt(np.average((grid[:, i] - mean) ** 2, weights=p))
        assert chain.mean(name) == pytest.approx(mean, abs=0.0065 * std)  # of 800 independent draws: 0.04
        assert chain.std(name) == pytest.approx(std, rel=0.003)


def test_importance_sampling_resumes(best, tmp_path):
    path = tmp_path / "laplace.npz"
    whole = importance_sample(best, draws=60, seed=3, progress=False)
    importance_sample(best, draws=25, seed=3, checkpoint=path, every=7, progress=False)
    resumed = importance_sample(best, draws=60, seed=3, checkpoint=path, progress=False)
    np.testing.assert_allclose(resumed.weights, whole.weights, rtol=1e-12)
    np.testing.assert_array_equal(resumed.samples["h"], whole.samples["h"])
    with pytest.raises(ConflictingParametersError, match="another best fit"):
        importance_sample(best, draws=60, seed=4, checkpoint=path, progress=False)


def test_where_the_theory_fails_there_is_no_weight(best):
    def fails_above(cosmo):
        if float(cosmo.h) > float(best.x[0]):
            raise BoltzaxError("no solution")
        return synthetic.theory(cosmo)

    model = inference.Model([powers(0.01)], FREE, priors={"tau_reio": (0.06, 0.01)}, theory=synthetic.theory)
    model._theory = fails_above
    chain = importance_sample(inference.BestFit(model, best.x, best.fisher, {}, best.theory), draws=50, progress=False)
    above = chain.samples["h"] > best.x[0]
    assert 10 < above.sum() < 40
    assert np.all(chain.weights[above] == 0.0) and np.all(chain.weights[~above] > 0.0)


ALTERNATIVES = dict(free=("H0", "Omega_m", "omega_b", "A_s"), start={"A_s": 2.1e-9, "Omega_m": 0.31})
STEPS = np.array([0.1, 5e-4, 5e-5, 1e-11, 1e-3])


def check_jacobian(model, rtol):
    """Against central differences of the residuals, for each parameter."""
    x = model.start
    theory, r, J = model.linearize(x)
    np.testing.assert_allclose(r, model.residuals(model.theory(x), x), rtol=1e-5, atol=1e-5)
    for i, step in enumerate(STEPS):
        up, down = (x + s * step * np.eye(x.size)[i] for s in (1, -1))
        numeric = (model.residuals(model.theory(up), up) - model.residuals(model.theory(down), down)) / (2 * step)
        np.testing.assert_allclose(J[:, i], numeric, atol=rtol * float(jnp.max(jnp.abs(numeric))))
    return theory


def test_the_chain_rule_through_fields_of_a_cosmology(monkeypatch):
    """As with boltzax.jacobian, which knows the fields of Cosmology only; here with those of the closed form."""
    model = inference.Model([powers(0.01)], **ALTERNATIVES)

    def jacobian(cosmo, params, of, outputs, precision):
        fields = {name: getattr(cosmo, name) for name in params}
        shifted = lambda values: of(SimpleNamespace(cosmology=dataclasses.replace(cosmo, **values)))
        return SimpleNamespace(cosmology=cosmo), jax.jacfwd(shifted)(fields), params

    def transposed(*args, **kwargs):
        results, jac, params = jacobian(*args, **kwargs)
        tree = lambda name: jax.tree.map(lambda _, d: d[name], synthetic.theory(results.cosmology), jac)
        vector = lambda name, d: jnp.moveaxis(d, -1, 0) if getattr(results.cosmology, name).ndim else d
        return results, {name: jax.tree.map(partial(vector, name), tree(name)) for name in params}

    monkeypatch.setattr(boltzax, "jacobian", transposed)
    monkeypatch.setattr(boltzax, "solve", lambda cosmo, *a: SimpleNamespace(cosmology=cosmo))
    model.observables = lambda results: synthetic.theory(results.cosmology)
    check_jacobian(model, 1e-4)


def test_lensing_is_nonlinear_unless_told_otherwise():
    """And where no spectra are among the data, nothing is computed for it."""
    spectra, none = inference.Model([powers(0.01)]), inference.Model([powers(0.01)], nonlinear=None)
    assert (spectra.outputs.nonlinear, none.outputs.nonlinear) == ("hmcode2020", None)
    distances = inference.Model([dataclasses.replace(powers(0.01), l_max=2)])
    assert distances.outputs.nonlinear is None


@pytest.mark.slow
def test_the_jacobian_through_boltzax():
    model = inference.Model([powers(0.01)], **ALTERNATIVES, fixed={"tau_reio": 0.06}, precision=SMALL, k_max=2.0)
    theory = check_jacobian(model, 2e-3)
    assert isinstance(theory.derived, boltzax.results.Derived)
