"""Constants passed to compiled programs by reference."""

import jax
import jax.numpy as jnp
import numpy as np

from boltzax.numerics import hidden

_TABLE = np.arange(12.0).reshape(3, 4)


def test_jax_has_the_private_names_that_are_used():
    """`Ref._refs` holds an object whose `_buf` is the array on the device."""
    ref = jax.new_ref(jnp.asarray(_TABLE))
    assert isinstance(ref._refs._buf, jax.Array)
    np.testing.assert_array_equal(ref._refs._buf, _TABLE)


def test_hidden_arrays_are_arguments_under_every_transformation():
    f = lambda x: (hidden.hidden(_TABLE) @ x).sum()
    x = jnp.arange(4.0)
    np.testing.assert_allclose(jax.jit(f)(x), _TABLE.dot(x).sum())
    np.testing.assert_allclose(jax.jit(jax.grad(f))(x), _TABLE.sum(0))
    np.testing.assert_allclose(jax.jit(jax.vmap(f))(jnp.stack([x, 2 * x])), _TABLE.dot(x).sum() * np.array([1.0, 2.0]))


def test_memory_that_an_exception_took_is_put_back():
    f = jax.jit(lambda x: hidden.hidden(_TABLE).sum() + x)
    expected = f(1.0)
    held = hidden._refs[id(_TABLE)][1]
    held._refs._on_device.delete()  # what a program that raises leaves behind
    assert held._refs.lost()
    hidden.restore()
    np.testing.assert_allclose(f(1.0), expected)
