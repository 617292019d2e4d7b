"""What `boltzax.jacobian` refuses before any work; its values are tested in test_derivatives.py."""

import pytest

import boltzax
from boltzax.errors import MissingParameterError, UnknownParameterError


def test_unknown_parameter(fiducial_cosmology):
    with pytest.raises(UnknownParameterError, match="omega_b"):
        boltzax.jacobian(fiducial_cosmology, ("h", "omega_bb"))


def test_parameter_that_follows_from_others(fiducial_cosmology):
    with pytest.raises(MissingParameterError, match="z_reio"):
        boltzax.jacobian(fiducial_cosmology, ("h", "z_reio"))


def test_choice_is_no_parameter(fiducial_cosmology):
    """recombination is a name, not a number."""
    with pytest.raises(UnknownParameterError):
        boltzax.jacobian(fiducial_cosmology, ("recombination",))
