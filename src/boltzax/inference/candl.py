"""boltzax as the theory of candl's likelihoods (Balkenhol et al. 2024, arXiv:2401.13433): SPT-3G, ACT and others.

like = likelihood("SPT3G_2018_TTTEEE_lite.yaml")
log_like = candl.tools.get_params_to_logl_func(like, theory_function())
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

import boltzax
from boltzax.cosmology import PARAMETERS, Cosmology
from boltzax.errors import ConflictingParametersError, MissingDependencyError, OutOfRangeError
from boltzax.inference.names import RENAMES
from boltzax.inference.observables import NONLINEAR
from boltzax.precision import Outputs, Precision

__all__ = ["likelihood", "theory_function"]

_L_MAX = 8000  # of Outputs


def theory_function(
    fixed: Mapping[str, Any] | None = None,
    l_max: int | None = None,
    precision: Precision = Precision(),  # noqa: B008
    nonlinear: str | None = NONLINEAR,
) -> Callable[..., dict[str, Any]]:
    """candl's `pars_to_theory_specs`: (parameters, ell_high_cut, ell_low_cut=2) -> spectra; traceable.

    The dict of parameters may use the names of CLASS or of CAMB; those that are neither are left to candl (they belong
    to its data models). fixed: cosmological parameters that candl does not pass. l_max: solve only so far and return
    zeros beyond, for data that reach further with negligible weight; by default everything is solved. nonlinear: the
    corrections to the potential that lenses, as in `Outputs`.

    The function returns "ell" from ell_low_cut to ell_high_cut, lensed TT, TE, EE, BB as l(l+1) C_l / 2 pi [muK^2],
    "pp" as [l(l+1)]^2 C_l^phiphi / 2 pi and "kk" as [l(l+1)]^2 C_l^phiphi / 4. It raises OutOfRangeError for
    ell_high_cut > 8000 without l_max, ConflictingParametersError for one parameter under two names.
    """
    fixed = dict(fixed or {})
    Cosmology(**fixed)  # refuses unknown names now

    def pars_to_theory_specs(pars: Mapping[str, Any], ell_high_cut: int, ell_low_cut: int = 2) -> dict[str, Any]:
        top = int(ell_high_cut) if l_max is None else min(int(ell_high_cut), l_max)
        if top > _L_MAX:
            raise OutOfRangeError(f"candl asks for l = {top}, beyond {_L_MAX}: give l_max to leave out the rest")
        cosmo = Cosmology(**fixed, **_cosmological(pars, fixed))
        D_l = boltzax.solve(cosmo, Outputs(l_max=top, nonlinear=nonlinear), precision).lensed_cl.D_l("muK2")
        missing = int(ell_high_cut) - top
        cut = lambda spectrum: jnp.pad(spectrum[int(ell_low_cut) :], (0, missing))
        out = {name.upper(): cut(getattr(D_l, name)) for name in ("tt", "te", "ee", "bb")}
        pp = cut(D_l.pp)
        return out | {"pp": pp, "kk": 0.5 * np.pi * pp, "ell": np.arange(int(ell_low_cut), int(ell_high_cut) + 1)}

    return pars_to_theory_specs


def likelihood(data_set_file: Any, lensing: bool = False, **options: Any) -> Any:
    """`candl.Like(data_set_file, **options)`, or with lensing `candl.LensLike`, that works with the newest JAX.

    candl 2.2 hands the lists that its data sets have as centres of priors to JAX, which from version 0.10 on takes
    arrays alone. Raises MissingDependencyError without candl.
    """
    try:
        import candl
    except ImportError as error:
        raise MissingDependencyError.from_package("candl-like", "inference", "this likelihood") from error
    base = candl.LensLike if lensing else candl.Like

    class Like(base):
        def init_priors(self):
            for prior in self.data_set_dict.get("priors", []):
                if isinstance(prior.get("central_value"), list):
                    prior["central_value"] = np.array(prior["central_value"], float)
            return super().init_priors()

    return Like(str(data_set_file), **options)


def _cosmological(pars: Mapping[str, Any], fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Those parameters that are boltzax's, under boltzax's names."""
    out: dict[str, Any] = {}
    for name, value in pars.items():
        known = RENAMES.get(name, name)
        if known not in PARAMETERS:
            continue
        if known in out or known in fixed:
            raise ConflictingParametersError(f"'{name}' gives {known}, which is given already")
        out[known] = value
    return out
