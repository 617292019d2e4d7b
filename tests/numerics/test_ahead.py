"""Tables that are begun in a thread: built once, kept, outside the caller's transformations, failures not kept."""

import threading

import jax
import jax.numpy as jnp
import pytest

from boltzax.numerics.ahead import ahead


def test_what_is_begun_is_built_once_beside_the_caller():
    go, calls = threading.Event(), []

    @ahead(maxsize=2)
    def table(n):
        go.wait(10.0)
        calls.append(threading.current_thread())
        return list(range(n))

    table.begin(3)  # returns although the table cannot be finished
    assert calls == []
    go.set()
    assert table(3) == [0, 1, 2] and table(3) is table(3)
    assert len(calls) == 1 and calls[0] is not threading.current_thread()
    table(4), table(5)
    table(3)  # the oldest was dropped
    assert len(calls) == 4


def test_values_do_not_belong_to_the_transformation_in_which_they_are_first_asked_for():
    @ahead(maxsize=1)
    def table(n):
        return jnp.arange(n) + 1.0

    assert jax.jit(lambda x: x * table(3)[1])(2.0) == 4.0
    assert not isinstance(table(3), jax.core.Tracer) and float(table(3)[2]) == 3.0


def test_a_failure_is_raised_and_not_kept():
    fail = [True]

    @ahead(maxsize=1)
    def table(n):
        if fail.pop():
            raise ValueError("no table")
        return n

    with pytest.raises(ValueError, match="no table"):
        table(3)
    fail.append(False)
    assert table(3) == 3
