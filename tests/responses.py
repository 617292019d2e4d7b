"""Spectra at a small precision where tests/reference/extensions.npz has what extensions do to them."""

import jax
from oracle import make_extension_references as made
from oracle.experiment import SMALL, SMALL_OUTPUTS

import boltzax

LARGE = made.K < 0.02  # 1/Mpc: beyond it the modes of SMALL are too few for acoustic oscillations


@jax.jit
def spectra(cosmo):
    """TT, EE, phiphi and P(k) by the names of the table, P(k) where `LARGE` is true."""
    r = boltzax.solve(cosmo, SMALL_OUTPUTS, SMALL)
    cl = {"tt": r.unlensed_cl.tt, "ee": r.unlensed_cl.ee, "pp": r.unlensed_cl.pp}
    return {name: value[made.ELL] for name, value in cl.items()} | {"pk": r.pk_lin(made.K[LARGE])}
