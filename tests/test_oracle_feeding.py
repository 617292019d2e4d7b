"""Stages that are fed: CLASS's homogeneous universe, electrons of another code in boltzax's thermal history."""

import numpy as np
import pytest
from oracle import feeding
from oracle import reference as ref


@pytest.mark.oracle
def test_background_and_thermodynamics_of_class(solved):
    """CLASS's tables in boltzax's form, against boltzax's own."""
    own = solved("massless")
    primordial = ("ln_A_s_1e10", "n_s", "k_pivot")
    given = {k: v for k, v in ref.class_parameters(ref.POINTS["massless"]).items() if k not in primordial}
    with ref.class_run(given) as run:
        stages = feeding._homogeneous(run)
        stages["derived_tau_rec"] = run.get_current_derived_parameters(["tau_rec"])["tau_rec"]
    background = feeding.tabulated_background(stages, own.background)
    thermo = feeding.tabulated_thermodynamics(stages, float(own.thermodynamics.T_cmb), float(background.tau_0))
    ln_a = -np.log1p(np.array([1500.0, 1100.0, 800.0, 100.0]))
    np.testing.assert_allclose(background.hubble(ln_a), own.background.hubble(ln_a), rtol=1e-11)
    now, then = thermo.at(ln_a), own.thermodynamics.at(ln_a)
    for name, bound in (("x_e", 5e-6), ("kappa_prime", 5e-6), ("kappa", 8e-5)):  # at CLASS's default tolerances
        np.testing.assert_allclose(getattr(now, name), getattr(then, name), rtol=bound, err_msg=name)


def test_electrons_of_another_code(solved):
    """Its own electrons change nothing; 1 % more at z > 20 are 1 % of opacity, and of optical depth beyond."""
    th = solved("massless").thermodynamics
    z = np.array([2e4, 3000.0, 1100.0, 700.0, 100.0, 10.0, 3.0])
    ln_a = -np.log1p(z)
    own = lambda z: np.asarray(th.at(-np.log1p(z)).x_e)
    before, same = th.at(ln_a), feeding.with_electrons(th, own).at(ln_a)
    for name in before._fields:
        np.testing.assert_allclose(getattr(same, name), getattr(before, name), rtol=3e-8, atol=1e-12, err_msg=name)

    gain = lambda z: 1.0 + 0.01 / (1.0 + np.exp(20.0 - z))
    more = feeding.with_electrons(th, lambda z: own(z) * gain(z)).at(ln_a)
    factor = np.where(z < 1e4, gain(z), 1.0)
    np.testing.assert_allclose(more.kappa_prime / before.kappa_prime, factor, atol=2e-11)
    np.testing.assert_allclose(more.x_e / before.x_e, factor, atol=2e-11)
    late = float(th.at(-np.log1p(20.0)).kappa)
    deeper = 0.01 * (np.asarray(before.kappa)[1:5] - late)
    np.testing.assert_allclose((more.kappa - before.kappa)[1:5], deeper, rtol=4e-4)  # the step at z = 20 is not sharp
    assert more.g[2] == pytest.approx(float(more.kappa_prime[2] * np.exp(-more.kappa[2])), rel=1e-12)
