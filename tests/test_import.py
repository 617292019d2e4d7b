"""What `import boltzax` costs."""

import json
import subprocess
import sys

_PROGRAM = """
import json, resource, sys
import jax
before = resource.getrusage(resource.RUSAGE_SELF)
import boltzax
after = resource.getrusage(resource.RUSAGE_SELF)
seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps([seconds, sorted(sys.modules)]))
"""
_HEAVY = ("matplotlib", "scipy.interpolate", "scipy.special", "scipy.optimize", "classy", "camb", "yaml", "rich",
          "numpyro", "cobaya", "pandas")  # fmt: skip


def test_import_is_light():
    """Beside JAX itself, which takes half a second: half a second of CPU time, and no library that can wait."""
    run = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(run.stdout)
    assert seconds < 1.0
    assert not [name for name in _HEAVY if name in modules]
