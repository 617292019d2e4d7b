"""Batches over devices and processes, each in processes of their own, against one solution after the other."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.background import background
from boltzax.errors import BoltzaxError, ConflictingParametersError

_ROOT = Path(__file__).resolve().parent.parent
_H = (0.65, 0.67, 0.7)
_PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
import jax
if len(sys.argv) > 2:
    jax.distributed.initialize(sys.argv[2], num_processes=2, process_id=int(sys.argv[3]))
import boltzax
from boltzax.background import background
from oracle.experiment import SMALL, SMALL_OUTPUTS
functions = {
    "tt": lambda c: {"found": boltzax.solve(c, SMALL_OUTPUTS, SMALL).lensed_cl.tt},
    "age": lambda c: {"found": background(c).age},
}
cosmologies = [boltzax.Cosmology(h=h) for h in (0.65, 0.67, 0.7)]
found = boltzax.map_cosmologies(functions["age" if len(sys.argv) > 2 else "tt"], cosmologies)
print(json.dumps([jax.device_count(), found["found"].tolist()]))
"""


def _spawn(*arguments: str, devices: int = 1) -> subprocess.Popen:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", _PROGRAM, str(_ROOT), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _answer(process: subprocess.Popen) -> tuple[int, np.ndarray]:
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    devices, found = json.loads(out.splitlines()[-1])
    return devices, np.array(found)


def test_two_devices_share_three_cosmologies():
    process = _spawn(devices=2)
    expected = [boltzax.solve(boltzax.Cosmology(h=h), SMALL_OUTPUTS, SMALL).lensed_cl.tt for h in _H]
    devices, tt = _answer(process)
    assert devices == 2
    np.testing.assert_allclose(tt[:, 2:], np.array(expected)[:, 2:], rtol=5e-12)  # measured: 1.4e-12


def test_two_processes_share_three_cosmologies():
    """Each computes its share, and both receive everything."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        address = f"localhost:{probe.getsockname()[1]}"
    processes = [_spawn(address, str(i)) for i in range(2)]
    expected = [float(background(boltzax.Cosmology(h=h)).age) for h in _H]
    for devices, ages in map(_answer, processes):
        assert devices == 2
        np.testing.assert_allclose(ages, expected, rtol=5e-16)  # measured: 2.2e-16


def test_failures_are_named_or_left_as_nan():
    """A function that fails for one cosmology alone, as a stage does."""
    f = lambda c: boltzax.errors.error_if(c.n_s, c.n_s > 1.0, "too blue")
    cosmologies = [boltzax.Cosmology(n_s=n_s) for n_s in (0.95, 1.05, 0.96)]
    found = boltzax.map_cosmologies(f, cosmologies, on_error="nan", per_device=2)
    np.testing.assert_array_equal(found, [0.95, np.nan, 0.96])
    with pytest.raises(BoltzaxError, match=r"1 of 3 cosmologies failed \(number 1\); the first: too blue"):
        boltzax.map_cosmologies(f, cosmologies)


def test_cosmologies_of_different_structure_are_refused():
    plain = boltzax.Cosmology()
    with pytest.raises(ConflictingParametersError, match="cosmology 1 has other species"):
        boltzax.map_cosmologies(lambda c: c.h, [plain, boltzax.Cosmology(w0_fld=-0.9)])
    with pytest.raises(ConflictingParametersError, match="cosmology 1 has another number of species"):
        boltzax.map_cosmologies(lambda c: c.h, [plain, boltzax.Cosmology(m_ncdm=(0.1, 0.2))])
    with pytest.raises(ValueError, match="on_error"):
        boltzax.map_cosmologies(lambda c: c.h, [plain], on_error="ignore")
    with pytest.raises(ValueError, match="no cosmology"):
        boltzax.map_cosmologies(lambda c: c.h, [])
