"""Names of parameters in species, and their derivatives through `boltzax.jacobian`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax
from boltzax.errors import ConflictingParametersError, MissingParameterError, UnknownParameterError
from boltzax.fields import locate
from boltzax.fluids import EarlyDarkEnergy, InteractingRadiation

RADIATION = InteractingRadiation(jnp.asarray(0.3))


def test_numbers_are_found():
    cosmo = boltzax.Cosmology(f_bi=0.3, c_ad_bi=0.2)
    assert float(locate(cosmo, "f_bi").value) == 0.3 and locate(cosmo, "c_ad_bi").primordial
    assert float(locate(cosmo.replace(f_bi=0.4), "f_bi").value) == 0.4
    cosmo = boltzax.Cosmology(fluids=(RADIATION, EarlyDarkEnergy(0.05, 3500.0, 2.5)))
    assert float(locate(cosmo, "theta_i").value) == 2.5 and not locate(cosmo, "theta_i").primordial


def test_names_that_are_none():
    with pytest.raises(UnknownParameterError, match="N_idr"):
        locate(boltzax.Cosmology(fluids=(RADIATION,)), "N_dr")
    with pytest.raises(UnknownParameterError):
        locate(boltzax.Cosmology(f_bi=0.3), "f_cdi")
    with pytest.raises(MissingParameterError, match="c_ad_bi"):
        locate(boltzax.Cosmology(f_bi=0.3), "c_ad_bi")
    with pytest.raises(ConflictingParametersError, match="2 species"):
        locate(boltzax.Cosmology(fluids=(RADIATION, RADIATION)), "N_idr")


def test_jacobian_by_a_fluid_and_by_a_mode():
    """Against jax.jvp: of the density of a fluid, which changes every perturbation, and of the size of a mode."""
    tt = lambda cosmo: boltzax.solve(cosmo, SMALL_OUTPUTS, SMALL).unlensed_cl.tt
    of = lambda results: results.unlensed_cl.tt
    make = {
        "N_idr": lambda x: boltzax.Cosmology(fluids=(InteractingRadiation(x),), m_ncdm=()),
        "f_bi": lambda x: boltzax.Cosmology(f_bi=x, c_ad_bi=0.5, m_ncdm=()),
    }
    for name, cosmology in make.items():
        x = jnp.asarray(0.3)
        _, found = boltzax.jacobian(cosmology(x), (name,), of=of, outputs=SMALL_OUTPUTS, precision=SMALL)
        expected = jax.jit(lambda x: jax.jvp(lambda v: tt(cosmology(v)), (x,), (1.0,))[1])(x)  # noqa: B023
        np.testing.assert_allclose(found[name][2:], expected[2:], rtol=0, atol=1e-7 * np.abs(expected).max())
