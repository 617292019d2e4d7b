"""The message of a first call: when it comes, where it goes, how it is switched off."""

import logging
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import pytest

import boltzax
from boltzax import notice


@pytest.fixture(autouse=True)
def impatient(monkeypatch, caplog):
    monkeypatch.setattr(notice, "_PATIENCE", 0.05)
    monkeypatch.setattr(notice, "_begun", set())
    caplog.set_level(logging.INFO, "boltzax")


def call(*arguments, seconds=0.3):
    with notice.first_call(*arguments):
        time.sleep(seconds)


def test_only_the_first_call_with_each_structure_says_so(caplog):
    call("solve", jnp.zeros(3), boltzax.Outputs())
    assert len(caplog.records) == 1 and "compiling" in caplog.text
    call("solve", jnp.ones(3), boltzax.Outputs())
    assert len(caplog.records) == 1
    call("solve", jnp.ones(3), boltzax.Outputs(l_max=30))
    call("solve", jnp.ones(4), boltzax.Outputs(l_max=30))
    assert len(caplog.records) == 3


def test_quick_calls_traced_calls_and_silence_say_nothing(caplog):
    call("solve", seconds=0.0)
    jax.jit(lambda x: call("traced", x) or x)(1.0)
    with notice.silence():
        call("silent")
    with notice.first_call("over") as waiting:
        waiting.over()
        time.sleep(0.2)
    assert not caplog.records


def test_an_error_ends_the_waiting(caplog):
    with pytest.raises(ValueError), notice.first_call("error"):
        raise ValueError
    time.sleep(0.2)
    assert not caplog.records


_PROGRAM = "import logging, time; {}; from boltzax import notice; notice._PATIENCE = 0.05\n" + (
    "with notice.first_call('x'): time.sleep(0.3)"
)


@pytest.mark.parametrize(
    ("setup", "level", "expected"),
    [
        ("pass", "", "boltzax: compiling"),
        ("pass", "WARNING", ""),
        ("logging.getLogger('boltzax').setLevel('ERROR')", "", ""),
        ("logging.basicConfig()", "", ""),  # the program's own level, WARNING, decides
        ("logging.basicConfig(level='INFO')", "", "INFO:boltzax:compiling"),
    ],
)
def test_where_the_message_goes(setup, level, expected, monkeypatch):
    monkeypatch.setenv("BOLTZAX_LOG", level)
    run = subprocess.run([sys.executable, "-c", _PROGRAM.format(setup)], capture_output=True, text=True, check=True)
    assert run.stdout == "" and run.stderr.startswith(expected) and bool(run.stderr) == bool(expected)
