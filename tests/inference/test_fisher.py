"""Forecasts: closed forms where they exist, direct sums where not, CLASS's derivatives (slow)."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax
from boltzax.errors import ParameterRangeError, PrecisionError
from boltzax.inference import fisher
from boltzax.inference.fisher import Channel, Experiment, forecast, information

from . import synthetic

COSMO = boltzax.Cosmology()
THEORY = synthetic.theory(COSMO)


def derivative(name):
    return jax.jacfwd(lambda v: synthetic.theory(COSMO.replace(**{name: v})))(getattr(COSMO, name))


def test_the_amplitude_without_noise_counts_modes():
    """Each of T and E gives (2l+1)/2 modes of relative error, whatever the spectra."""
    experiment = Experiment("ideal", (), 0.7, l_max_T=400, l_max_P=400)
    got = information(experiment, THEORY, [jax.tree.map(lambda v: v, THEORY)])
    modes = sum(2 * l + 1 for l in range(2, 401))
    assert float(got[0, 0]) == pytest.approx(0.7 * modes, rel=1e-10)


def test_noise_weights_each_multipole():
    """Temperature alone, against the sum over l written out."""
    channels = (Channel(30.0, 60.0, 7.0), Channel(50.0, 90.0, 5.0))
    experiment = Experiment("T", channels, 0.5, l_min=10, l_max_T=300, l_max_P=11)
    d = derivative("omega_b")
    total = 0.0
    for l in range(10, 301):
        unit, arcmin = 2 * np.pi / (l * (l + 1)), np.pi / 10800
        weights = [
            np.exp(-l * (l + 1) * (c.beam * arcmin) ** 2 / (8 * np.log(2))) / (c.noise_T * arcmin) ** 2
            for c in channels
        ]
        C = unit * float(THEORY.tt[l]) + 1.0 / sum(weights)
        if l > 11:
            total += 0.5 * (2 * l + 1) / 2 * (unit * float(d.tt[l]) / C) ** 2
    got = information(dataclasses.replace(experiment, l_min=12, l_max_P=13), THEORY, [d])
    low = information(dataclasses.replace(experiment, l_min=12, l_max_T=14, l_max_P=13), THEORY, [d])
    high = information(dataclasses.replace(experiment, l_min=12, l_max_P=13, l_max_T=300), THEORY, [d])
    assert float(got[0, 0]) == float(high[0, 0]) > float(low[0, 0])
    only_T = dataclasses.replace(THEORY, te=0.0 * THEORY.te)
    d_T = dataclasses.replace(d, te=0.0 * d.te, ee=0.0 * d.ee)
    got = information(dataclasses.replace(experiment, l_min=12, l_max_P=13), only_T, [d_T])
    assert float(got[0, 0]) == pytest.approx(total, rel=1e-9)


def test_forecast_joins_derivatives_priors_and_experiments(monkeypatch):
    def jacobian(cosmo, params, of, outputs, precision):
        return THEORY, {name: derivative(name) for name in params}

    monkeypatch.setattr(boltzax, "jacobian", jacobian)
    monkeypatch.setattr(fisher, "Observables", lambda: lambda results: results)
    experiment = Experiment("test", (Channel(10.0, 14.0, 5.0),), 0.5, l_max_T=400, l_max_P=400)
    names = ("h", "n_s", "ln_A_s_1e10", "tau_reio")
    one = forecast(experiment, COSMO, names, priors={"tau_reio": 0.01})
    assert one.sigma["tau_reio"] == pytest.approx(0.01, rel=1e-3)  # degenerate with the amplitude
    assert list(one.x) == [pytest.approx(float(getattr(COSMO, n))) for n in names]
    np.testing.assert_allclose(one.fisher, one.fisher.T)
    assert (one + one).sigma["h"] == pytest.approx(one.sigma["h"] / np.sqrt(2.0), rel=1e-6)
    with pytest.raises(ParameterRangeError, match="cannot be added"):
        one + forecast(experiment, COSMO, ("h",))


def test_experiments_are_ordered_by_their_noise():
    ell = 1500
    noise = {e.name: e.noise()[0][ell - e.l_min] for e in (fisher.PLANCK, fisher.SIMONS, fisher.CMB_S4)}
    assert noise["Planck-like"] > noise["Simons-Observatory-like"] > noise["CMB-S4-like"] > 0.0
    assert np.isinf(fisher.CMB_S4.noise()[0][3001 - 30]) and np.isfinite(fisher.CMB_S4.noise()[1][3001 - 30])


def test_refusals():
    with pytest.raises(ParameterRangeError, match="f_sky"):
        Experiment("x", (), 0.0)
    with pytest.raises(PrecisionError, match="l_min"):
        Experiment("x", (), 1.0, l_min=1)


@pytest.mark.slow
@pytest.mark.oracle
def test_forecast_agrees_with_finite_differences_of_class():
    """Standard deviations of a Planck-like experiment from boltzax's derivatives and from CLASS's differences."""
    from classy import Class

    names = {"h": 0.01, "omega_b": 4e-4, "omega_cdm": 3e-3, "n_s": 0.02, "ln_A_s_1e10": 0.05}

    def theory(cosmo):
        engine = Class()
        engine.set(cosmo.to_classy() | {"output": "tCl,pCl,lCl", "lensing": "yes", "l_max_scalars": 2600})
        engine.compute()
        ell = np.arange(2501)
        unit = ell * (ell + 1) / (2 * np.pi) * 2.7255e6**2
        spectra = {s: jnp.asarray(unit * engine.lensed_cl(2500)[s]) for s in ("tt", "te", "ee")}
        engine.empty()
        return dataclasses.replace(synthetic.theory(COSMO, l_max=2500), **spectra)

    centre, columns = theory(COSMO), []
    for name, step in names.items():
        up, down = (theory(COSMO.replace(**{name: float(getattr(COSMO, name)) + s * step})) for s in (1, -1))
        columns.append(jax.tree.map(lambda a, b, step=step: (a - b) / (2 * step), up, down))
    expected = fisher.Forecast(tuple(names), np.zeros(5), np.asarray(information(fisher.PLANCK, centre, columns)))
    got = forecast(fisher.PLANCK, COSMO, tuple(names))
    for name in names:
        assert got.sigma[name] == pytest.approx(expected.sigma[name], rel=0.03)
