"""The choice of kernels for CPUs reaches XLA, and the user's own stands."""

import os
import subprocess
import sys

import pytest

from boltzax import compiler

PROGRAM = """
import os
import boltzax, jax, jax.numpy as jnp
print(os.environ.get("XLA_FLAGS", ""))
print(jax.jit(lambda x: jnp.sin(x) * jnp.cos(x) + 1.0)(jnp.zeros(3)))
"""


def run(flags):
    """XLA_FLAGS after the import, of a process that compiles a program."""
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    if flags is not None:
        environment["XLA_FLAGS"] = flags
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, env=environment | {"JAX_PLATFORMS": "cpu"})
    assert done.returncode == 0, done.stderr
    found, value = done.stdout.splitlines()
    assert value == "[1. 1. 1.]"
    return found


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (None, f"{compiler.FLAG}=false"),
        ("--xla_cpu_enable_fast_math=false", f"--xla_cpu_enable_fast_math=false {compiler.FLAG}=false"),
        (f"{compiler.FLAG}=true", f"{compiler.FLAG}=true"),
    ],
)
def test_choice(flags, found):
    assert run(flags) == found


def test_releases_that_may_not_know_it(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setattr(compiler, "version", lambda name: "0.11.0")
    compiler.choose_kernels()
    assert os.environ["XLA_FLAGS"] == ""
