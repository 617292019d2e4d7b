"""Atomic physics with another fine-structure constant and another electron mass than today's.

In atomic units - energies alpha^2 m_e, lengths 1/(alpha m_e), rates of allowed lines alpha^5 m_e - the equations of
recombination at one temperature, density and expansion rate are always the same, up to alpha^3: wavelengths of lines
exceed the size of an atom by 1/alpha, and two-photon decay, ~ alpha^8 m_e, is slower than an allowed line by alpha^3.
The powers are those of Hart & Chluba (2018), arXiv:1705.03925. As in CLASS both constants take today's values at
z = 50 (`varying_transition_redshift`); CLASS has a step there.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_TRANSITION = float(np.log(51.0))  # ln(1 + z) at which the constants become today's
_WIDTH = 0.02  # in ln(1 + z): five cells of the table


class Constants(NamedTuple):
    """Fine-structure constant and electron mass until the transition, over today's."""

    alpha: Float[Array, "..."]
    m_e: Float[Array, "..."]

    @classmethod
    def of(cls, cosmo) -> "Constants | None":
        """Those of a cosmology; None if they are today's."""
        if cosmo.varying_alpha is None:
            return None
        return cls(jnp.asarray(cosmo.varying_alpha), jnp.asarray(cosmo.varying_me))

    def since(self, ln_a: Float[Array, "*s"], factor: Float[Array, "..."]) -> Float[Array, "*s"]:
        """`factor` before the transition, 1 after it."""
        return 1.0 + before_transition(ln_a) * (factor - 1.0)


def before_transition(ln_a: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """1 while the constants differ from today's, 0 later."""
    return jax.nn.sigmoid((-_TRANSITION - jnp.asarray(ln_a)) / _WIDTH)


def temperature(constants: Constants | None, T: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The temperature at which atoms of today are as excited as those at T."""
    return T if constants is None else T / (constants.alpha**2 * constants.m_e)


def density(constants: Constants | None, n: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The density at which atoms of today are as far from each other in their own size."""
    return n if constants is None else n / (constants.alpha * constants.m_e) ** 3


def expansion(constants: Constants | None, H: Float[Array, "*s"]) -> Float[Array, "*s"]:
    """The expansion rate that allowed lines of today compare with as those do with H."""
    return H if constants is None else H / (constants.alpha**5 * constants.m_e)


def fineness(constants: Constants | None) -> Float[Array, "..."] | float:
    """alpha^3: escape of line photons per atom, and two-photon decay, in atomic units."""
    return 1.0 if constants is None else constants.alpha**3


def thomson(constants: Constants | None, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"] | float:
    """Thomson cross-section over today's, alpha^2 / m_e^2."""
    return 1.0 if constants is None else constants.since(ln_a, (constants.alpha / constants.m_e) ** 2)


def compton(constants: Constants | None, ln_a: Float[Array, "*s"]) -> Float[Array, "*s"] | float:
    """Compton coupling of the matter temperature over today's, alpha^2 / m_e^3."""
    return 1.0 if constants is None else constants.since(ln_a, constants.alpha**2 / constants.m_e**3)
