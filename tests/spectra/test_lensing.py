"""The lensing step: against CLASS, against the formulae on the full sphere, and its derivatives."""

import json
from functools import partial
from math import lgamma, pi
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import eval_jacobi

from boltzax.spectra import lensing
from boltzax.spectra.lensing import extend_potential, lens, lensing_tables, wigner_d

REFERENCE = Path(__file__).parents[1] / "reference" / "lensing_class.npz"
NAMES = ("tt", "te", "ee", "bb")


@pytest.fixture(scope="module")
def class_spectra():
    with np.load(REFERENCE) as file:
        assert json.loads(str(file["manifest"]))["settings"]["num_mu_minus_lmax"] >= 3000
        return {k: file[k].astype(float) for k in file.files if k != "manifest"}


def errors(ours, theirs, first, last):
    """Largest relative errors of TT, EE, BB and of TE over sqrt(TT EE), for first <= l <= last."""
    a, b = ({k: np.asarray(v[k])[first : last + 1] for k in NAMES} for v in (ours, theirs))
    scale = {k: b[k] for k in NAMES} | {"te": np.sqrt(b["tt"] * b["ee"])}
    return {k: np.abs((a[k] - b[k]) / scale[k]).max() for k in NAMES}


def as_dict(result):
    return {k: np.asarray(getattr(result, k)) for k in NAMES}


# largest errors allowed against CLASS, twice the present ones: they grow with l as the spectra fall. Beyond l = 300
# much of them are the kinks of CLASS's spline of the unlensed spectra.
CLASS_TOLERANCES = {
    (2, 30): {"tt": 1.4e-7, "te": 1e-7, "ee": 5e-7, "bb": 2.5e-5},
    (31, 300): {"tt": 6e-7, "te": 4e-7, "ee": 6e-7, "bb": 1.2e-5},
    (301, 2500): {"tt": 1.1e-5, "te": 2.2e-5, "ee": 1.5e-5, "bb": 1.0e-5},
}


def test_lensed_spectra_of_class(class_spectra):
    unlensed = (class_spectra[k] for k in ("utt", "ute", "uee", "upp"))
    ours = as_dict(jax.jit(lambda *s: lens(*s, l_max=2500))(*unlensed))
    for band, tolerances in CLASS_TOLERANCES.items():
        found = errors(ours, class_spectra, *band)
        for name, tolerance in tolerances.items():
            assert found[name] < tolerance, (band, name, found[name])


def jacobi_d(l, m, n, theta):
    """d^l_mn, m >= |n|, m - n even, from Jacobi polynomials."""
    if l < m:
        return np.zeros_like(theta)
    k, a, b = l - m, m - n, m + n
    norm = np.exp(0.5 * (lgamma(k + 1) + lgamma(k + a + b + 1) - lgamma(k + a + 1) - lgamma(k + b + 1)))
    return norm * np.sin(theta / 2) ** a * np.cos(theta / 2) ** b * eval_jacobi(k, a, b, np.cos(theta))


def test_rotation_functions():
    theta = np.array([1e-3, 0.02, 0.3, 1.5, 2.9])
    l = np.array([0, 1, 2, 3, 4, 5, 8, 60, 171, 400])
    ours = wigner_d(lensing._PAIRS, theta, l)
    for i, (m, n) in enumerate(lensing._PAIRS):
        exact = np.array([jacobi_d(j, m, n, theta) for j in l]).T
        np.testing.assert_allclose(ours[i], exact, atol=2e-12, rtol=2e-11)


L_SMALL, L_SMALL_UNLENSED = 250, 330


def small_spectra():
    """Smooth spectra that end well before l = 330, with B modes and far too much lensing: every term matters."""
    l = np.arange(L_SMALL_UNLENSED + 1.0)
    envelope = np.exp(-((l / 90) ** 2)) / (l + 10) ** 2 * (l >= 2)
    tt, ee, bb = envelope * (1.2 + np.cos(l / 20)), 0.1 * envelope * (1.3 - np.cos(l / 20)), 0.02 * envelope
    te = 0.2 * envelope * np.sin(l / 20)
    pp = 4e-3 / (l + 20.0) ** 4 * np.exp(-((l / 90) ** 2)) * (l >= 2)
    return tt, te, ee, pp, bb


def textbook(tt, te, ee, pp, bb, l_max):
    """The formulae of Challinor & Lewis 2005 term by term, Gauss-Legendre quadrature over the whole sphere."""
    x, w = np.polynomial.legendre.leggauss(500)
    theta = np.arccos(x)
    d = {pair: [jacobi_d(l, *pair, theta) for l in range(len(tt))] for pair in lensing._PAIRS}
    norm = [(2 * l + 1) / (4 * pi) for l in range(len(tt))]
    sigma2 = sum(norm[l] * l * (l + 1) * pp[l] * (1 - d[1, 1][l]) for l in range(2, len(pp)))
    c2 = sum(norm[l] * l * (l + 1) * pp[l] * d[1, -1][l] for l in range(2, len(pp)))
    xi, xi_x, xi_p, xi_m = np.zeros((4, len(x)))
    for l in range(2, len(tt)):
        d00, d20, d22, d2m2, d1m1, d31, d40, d3m3, d4m4, d11, d3m1, d4m2 = (d[pair][l] for pair in lensing._PAIRS)
        L = l * (l + 1)
        x000, x022 = np.exp(-L * sigma2 / 4), np.exp(-(L - 4) * sigma2 / 4)
        xp000, xp022 = -L / 4 * x000, -(L - 4) / 4 * x022
        x220 = np.sqrt((l + 2) * (l + 1) * l * (l - 1)) / 4 * np.exp(-(L - 2) * sigma2 / 4)
        x121 = -np.sqrt((l + 2) * (l - 1)) / 2 * np.exp(-(L - 8 / 3) * sigma2 / 4)
        x132 = -np.sqrt((l + 3) * (l - 2)) / 2 * np.exp(-(L - 20 / 3) * sigma2 / 4)
        x242 = np.sqrt((l + 4) * (l + 3) * (l - 2) * (l - 3)) / 4 * np.exp(-(L - 10) * sigma2 / 4)
        second = xp000**2 * d00 + x220**2 * d2m2
        xi += norm[l] * tt[l] * (x000**2 * d00 + c2 * 8 / L * xp000**2 * d1m1 + c2**2 * second)
        second = xp022**2 * d22 + x242 * x220 * d40
        xi_p += norm[l] * (ee[l] + bb[l]) * (x022**2 * d22 + 2 * c2 * x132 * x121 * d31 + c2**2 * second)
        first = x121**2 * d1m1 + x132**2 * d3m3
        second = 2 * xp022**2 * d2m2 + x220**2 * d00 + x242**2 * d4m4
        xi_m += norm[l] * (ee[l] - bb[l]) * (x022**2 * d2m2 + c2 * first + c2**2 / 2 * second)
        first = 2 * xp000 / np.sqrt(L) * (x121 * d11 + x132 * d3m1)
        second = (2 * xp022 * xp000 + x220**2) * d20 + x220 * x242 * d4m2
        xi_x += norm[l] * te[l] * (x022 * x000 * d20 + c2 * first + c2**2 / 2 * second)
    back = {
        "tt": [2 * pi * np.sum(w * xi * d[0, 0][l]) for l in range(l_max + 1)],
        "te": [2 * pi * np.sum(w * xi_x * d[2, 0][l]) for l in range(l_max + 1)],
    }
    plus = np.array([pi * np.sum(w * xi_p * d[2, 2][l]) for l in range(l_max + 1)])
    minus = np.array([pi * np.sum(w * xi_m * d[2, -2][l]) for l in range(l_max + 1)])
    return {k: np.array(v) for k, v in (back | {"ee": plus + minus, "bb": plus - minus}).items()}


def differences(ours, exact):
    """Largest error over 2 <= l <= 150, weighted with ((l+30)/30)^2, relative to the largest value of the spectrum."""
    l = np.arange(2, 151)
    return {k: np.abs((ours[k] - exact[k])[l] * ((l + 30) / 30.0) ** 2).max() / np.abs(exact[k]).max() for k in NAMES}


FULL_SPHERE_TOLERANCES = {"tt": 3.4e-7, "te": 3.3e-6, "ee": 2.4e-6, "bb": 1.7e-7}


def test_full_sphere_and_every_term(monkeypatch):
    """Agreement with the printed formulae, which is lost by far if any single term is off by a factor of two."""
    spectra = small_spectra()
    exact = textbook(*spectra, L_SMALL)
    run = jax.jit(lambda tables: lens(*spectra, l_max=L_SMALL, tables=tables))
    tables = lensing_tables(L_SMALL, L_SMALL_UNLENSED, L_SMALL_UNLENSED)
    found = differences(as_dict(run(tables)), exact)
    assert all(found[k] < FULL_SPHERE_TOLERANCES[k] for k in NAMES), found

    original = lensing._terms
    for i in range(len(original(np.ones(1)))):

        def halved(L, i=i):
            return tuple((*t[:4], t[4] * (0.5 if j == i else 1.0)) for j, t in enumerate(original(L)))

        monkeypatch.setattr(lensing, "_terms", halved)
        zones = (z._replace(factor=lensing._pack_terms(z.l * (z.l + 1.0))[-1]) for z in tables.zones)
        wrong = differences(as_dict(run(tables._replace(zones=tuple(zones)))), exact)
        assert any(wrong[k] > 10 * FULL_SPHERE_TOLERANCES[k] for k in NAMES), (i, wrong)


@partial(jax.jit, static_argnames="l_max")
def jit_lens(*spectra, l_max):
    return lens(*spectra, l_max=l_max)


def test_conserves_variance():
    """Lensing moves power but leaves the variance of temperature and of polarisation at a point."""
    tt, te, ee, pp, bb = (np.pad(s, (0, 300)) for s in small_spectra())
    l = np.arange(len(tt))
    # no power at l of the potential: it would leak into the monopole and dipole, which are dropped
    tt, pp = tt * -np.expm1(-((l / 80) ** 12)), 0.1 * pp * (l <= 25)
    ours = as_dict(jit_lens(tt, te, ee, pp, bb, l_max=len(tt) - 1))
    weight = 2.0 * l + 1
    assert weight @ np.abs(ours["tt"] - tt) > 3e-3 * (weight @ tt)
    np.testing.assert_allclose(weight @ ours["tt"], weight @ tt, rtol=6e-7)
    np.testing.assert_allclose(weight @ (ours["ee"] + ours["bb"]), weight @ (ee + bb), rtol=2e-9)


def test_limits():
    """No lensing changes nothing; a longer lensing potential with nothing in it too; the smallest sizes work."""
    tt, te, ee, pp, bb = small_spectra()
    none = as_dict(jit_lens(tt, te, ee, 0 * pp, bb, l_max=L_SMALL))
    for name, before in zip(NAMES, (tt, te, ee, bb), strict=True):
        np.testing.assert_allclose(none[name], before[: L_SMALL + 1], rtol=0, atol=1e-14 * np.abs(before).max())
    shorter = as_dict(jit_lens(tt, te, ee, pp, bb, l_max=L_SMALL))
    longer = as_dict(jit_lens(tt, te, ee, np.pad(pp, (0, 301)), bb, l_max=L_SMALL))
    for name in NAMES:  # the nodes in l of the quadrature are others
        np.testing.assert_allclose(longer[name], shorter[name], rtol=0, atol=2e-6 * np.abs(shorter[name]).max())
    assert np.isfinite(as_dict(jit_lens(tt[:11], te[:11], ee[:11], pp[:11], l_max=2))["bb"]).all()


def test_errors():
    tt, te, ee, pp, _ = small_spectra()
    with pytest.raises(ValueError, match="same length"):
        lens(tt, te[:-1], ee, pp, l_max=100)
    with pytest.raises(ValueError, match="l_max = 331"):
        lens(tt, te, ee, pp, l_max=331)
    with pytest.raises(ValueError, match="l_max = 250"):
        lens(tt, te, ee, pp[:200], l_max=250)


def test_derivatives():
    """Forward against reverse mode, both against finite differences; second derivatives; vmap."""
    tt, te, ee, pp, bb = (jnp.asarray(s) for s in small_spectra())
    l = np.arange(L_SMALL_UNLENSED + 1.0)

    @jax.jit
    def scalar(p):
        tilt = ((l + 1) / 50) ** p[1]
        out = lens(tt * tilt, te * p[2], ee * tilt, pp * p[0] * tilt, bb * p[3], l_max=L_SMALL)
        weight = (l[: L_SMALL + 1] + 1) ** 1.5
        scale = ((tt, 1.0), (te, 2.0), (ee, 3.0), (bb, 1.0))
        parts = (getattr(out, k) * f / jnp.abs(s).max() for k, (s, f) in zip(NAMES, scale, strict=True))
        return weight @ sum(parts)

    def central(function, p, v, h=2e-3):
        f = [function(p + i * h * v) for i in (1, 2, 3)]
        b = [function(p - i * h * v) for i in (1, 2, 3)]
        return (45 * (f[0] - b[0]) - 9 * (f[1] - b[1]) + (f[2] - b[2])) / (60 * h)

    p = jnp.array([1.0, 0.05, 1.0, 1.0])
    gradient = jax.jit(jax.grad(scalar))
    tangent = jax.jit(lambda p, v: jax.jvp(lambda q: (scalar(q), gradient(q)), (p,), (v,))[1])
    for v in jnp.eye(4):
        forward, second = tangent(p, v)
        np.testing.assert_allclose(forward, gradient(p) @ v, rtol=1e-11)
        np.testing.assert_allclose(forward, central(scalar, p, v), rtol=1e-9)
        np.testing.assert_allclose(second, central(gradient, p, v), rtol=0, atol=1e-9 * jnp.abs(second).max())
    batch = jnp.stack([p, 1.1 * p])
    np.testing.assert_allclose(jax.vmap(scalar)(batch), [scalar(q) for q in batch], rtol=1e-12)


def test_extended_potential(class_spectra):
    l = np.arange(1, 3001.0)
    exact = np.concatenate([[0.0], 1e-8 / l**4 * np.exp(-0.3 * np.log(l / 100) ** 2)])
    np.testing.assert_allclose(extend_potential(jnp.asarray(exact[:2001]), 3000)[1:], exact[1:], rtol=1e-10)
    pp = class_spectra["upp"]
    np.testing.assert_allclose(extend_potential(jnp.asarray(pp[:3001]), 4500)[2:], pp[2:], rtol=6.7e-3)
    np.testing.assert_array_equal(extend_potential(pp, 100), pp[:101])
    with pytest.raises(ValueError, match="must reach l = 401"):
        extend_potential(pp[:300], 1000)
