"""boltzax: a differentiable Einstein-Boltzmann solver in JAX.

Importing it switches JAX to double precision, without which the equations cannot be solved, and chooses how XLA makes
kernels for CPUs (`boltzax.compiler`).
"""

import jax

from boltzax.compiler import choose_kernels

jax.config.update("jax_enable_x64", True)
choose_kernels()

from boltzax.check_accuracy import check_accuracy  # noqa: E402
from boltzax.cosmology import Cosmology  # noqa: E402
from boltzax.isocurvature import Isocurvature  # noqa: E402
from boltzax.jacobian import jacobian  # noqa: E402
from boltzax.many import map_cosmologies  # noqa: E402
from boltzax.neutrinos import neutrino_masses  # noqa: E402
from boltzax.precision import Outputs, Precision  # noqa: E402
from boltzax.results import Results  # noqa: E402
from boltzax.solve import solve  # noqa: E402

__version__ = "0.1.0"
__all__ = [
    "Cosmology", "Isocurvature", "Outputs", "Precision", "Results", "check_accuracy", "jacobian", "map_cosmologies",
    "neutrino_masses", "solve",
]  # fmt: skip
