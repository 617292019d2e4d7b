"""Exceptions and the checks that work on concrete and on traced values."""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax.errors as errors
from boltzax.errors import error_if


def test_hierarchy():
    for name in (
        "UnknownParameterError",
        "ConflictingParametersError",
        "MissingParameterError",
        "ParameterRangeError",
        "NotImplementedParameterError",
        "ParameterFileError",
    ):
        assert issubclass(getattr(errors, name), errors.CosmologyError)
    assert issubclass(errors.CosmologyError, errors.BoltzaxError)
    for name, builtin in (
        ("CosmologyError", ValueError),
        ("OutOfRangeError", ValueError),
        ("PrecisionError", ValueError),
        ("MissingDependencyError", ImportError),
        ("NotImplementedParameterError", NotImplementedError),
        ("X64Error", RuntimeError),
    ):
        assert issubclass(getattr(errors, name), (errors.BoltzaxError, builtin))
        assert issubclass(getattr(errors, name), builtin)


@pytest.mark.parametrize(
    "name, near", [("omga_b", "omega_b"), ("Omga_b", "Omega_b"), ("tau_rei", "tau_reio"), ("TAU_REIO", "tau_reio")]
)
def test_nearest_name_keeps_the_case_apart(name, near):
    assert errors.nearest_name(name, ["Omega_b", "omega_b", "tau_reio", "z_reio"]) == near


def test_a_far_name_lists_the_known_ones():
    error = errors.UnknownParameterError.from_name("xyzzy", ["h", "n_s"])
    assert "known names: h, n_s" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_missing_dependency_names_the_extra():
    error = errors.MissingDependencyError.from_package("matplotlib", "plots", "drawing")
    assert 'pip install "boltzax[plots]"' in str(error)


def test_error_if_concrete_raises_the_named_exception():
    assert error_if(3.0, False, "no") == 3.0
    with pytest.raises(errors.OutOfRangeError, match="too large"):
        error_if(3.0, np.array([False, True]), "too large", errors.OutOfRangeError)
    with pytest.raises(errors.PrecisionError):
        jax.jit(lambda x: error_if(x, True, "known while tracing", errors.PrecisionError))(1.0)


def test_error_if_traced_poisons_only_the_bad_member_of_a_batch(monkeypatch):
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "nan")
    check = jax.vmap(lambda x: error_if({"x": 2.0 * x, "n": 3}, x < 0.0, "negative"))
    out = jax.jit(check)(jnp.array([1.0, -1.0, 2.0]))
    np.testing.assert_array_equal(out["x"], [2.0, np.nan, 4.0])
    np.testing.assert_array_equal(out["n"], [3, 3, 3])


def test_error_if_leaves_derivatives_alone_and_no_callback_in_the_program(monkeypatch):
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "nan")

    def f(x):
        return error_if(x, x < 0.0, "negative") ** 3

    assert jax.grad(f)(2.0) == 12.0
    assert jax.jvp(f, (2.0,), (1.0,))[1] == 12.0
    assert np.isnan(jax.jit(jax.grad(f))(-2.0))
    with pytest.raises(errors.BoltzaxError, match="negative"):
        jax.grad(f)(-2.0)  # outside jit the condition is concrete even under grad
    assert "callback" not in str(jax.make_jaxpr(f)(2.0))


def test_error_if_raises_at_run_time_by_default(monkeypatch):
    monkeypatch.delenv("BOLTZAX_ON_ERROR", raising=False)
    f = eqx.filter_jit(lambda x: error_if(x, x < 0.0, "x is negative", errors.OutOfRangeError))
    assert f(jnp.array(1.0)) == 1.0
    with pytest.raises(eqx.EquinoxRuntimeError, match="OutOfRangeError: x is negative"):
        jax.block_until_ready(f(jnp.array(-1.0)))


def test_error_if_modes(monkeypatch):
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "raise")
    with errors.on_error_mode("nan"):
        assert np.isnan(jax.jit(lambda x: error_if(x, x < 0.0, "negative"))(-1.0))
        with errors.on_error_mode("off"):
            assert jax.jit(lambda x: error_if(x, x < 0.0, "negative"))(-1.0) == -1.0
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "off")
    assert jax.jit(lambda x: error_if(x, x < 0.0, "negative"))(-1.0) == -1.0
    monkeypatch.setenv("BOLTZAX_ON_ERROR", "sometimes")
    with pytest.raises(ValueError, match="'sometimes'"):
        jax.jit(lambda x: error_if(x, x < 0.0, "negative"))(-1.0)


def test_require_x64():
    errors.require_x64()
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(errors.X64Error, match="jax_enable_x64"):
            errors.require_x64()
    finally:
        jax.config.update("jax_enable_x64", True)
