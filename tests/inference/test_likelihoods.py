"""Likelihoods: sums done by hand on small data of the same formats, real data where they are, and refusals."""

import os

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import boltzax
from boltzax import inference
from boltzax.errors import ChecksumError, LikelihoodDataError
from boltzax.inference import files

from . import synthetic

COSMO = boltzax.Cosmology()
needs_data = pytest.mark.skipif(
    not os.environ.get(files.ENVIRONMENT), reason=f"real data: {files.ENVIRONMENT} names no folder (docs/inference.md)"
)


def gaussian(difference, covariance):
    return -0.5 * difference @ np.linalg.solve(covariance, difference)


@pytest.mark.parametrize("spectra", ["TTTEEE", "TT", "TE", "EE"])
def test_plik_lite_is_the_gaussian_of_its_files(tmp_path, spectra):
    values, covariance, weights = synthetic.write_plik_lite(tmp_path)
    like = inference.PlikLite(tmp_path, spectra, sha256=None)
    theory = synthetic.theory(COSMO)
    model, used, row = [], [], 0
    for name, n in (("tt", synthetic.N_TT), ("te", synthetic.N_POL), ("ee", synthetic.N_POL)):
        D = np.asarray(getattr(theory, name))
        for b in range(n):
            if name in like.spectra:
                ell = 30 + synthetic.WIDTH * b + np.arange(synthetic.WIDTH)
                model.append(np.sum(weights[ell - 30] * D[ell] * 2 * np.pi / (ell * (ell + 1))))
                used.append(row)
            row += 1
    difference = values[used] - np.array(model) / 1.01**2
    expected = gaussian(difference, covariance[np.ix_(used, used)])
    assert like.loglike(theory, {"A_planck": 1.01}) == pytest.approx(expected, rel=1e-10)
    assert like.loglike(theory) != pytest.approx(expected, rel=1e-6)  # at the mean of the prior, A_planck = 1
    assert like.l_max == 30 + synthetic.WIDTH * synthetic.N_TT - 1


def test_low_tt_bins(tmp_path):
    synthetic.write_low_tt(tmp_path)
    like, theory = inference.LowTT(tmp_path, sha256=None), synthetic.theory(COSMO)
    ell = np.arange(2, 30)
    C = 2 * np.pi * np.asarray(theory.tt)[2:30] / (ell * (ell + 1))
    expected = -0.5 * (((50.0 - C[:14].mean()) / 5.0) ** 2 + ((10.0 - C[14:].mean()) / 0.6) ** 2)
    assert like.loglike(theory) == pytest.approx(expected, rel=1e-12)


def test_low_ee_is_the_lognormal_density_of_its_source():
    like, theory = inference.LowEE(), synthetic.theory(COSMO)
    expected = 0.0
    for low, high, mu, sigma, shift in like._BINS:
        mean = np.asarray(theory.ee)[int(low) : int(high) + 1].mean()
        expected += scipy.stats.lognorm.logpdf(mean, sigma, loc=shift, scale=np.exp(mu))
    assert like.loglike(theory) == pytest.approx(expected, rel=1e-12)


def test_low_ee_alone_is_near_plancks_optical_depth():
    """At fixed A_s exp(-2 tau_reio), where Planck has 0.0506 +- 0.0086 (arXiv:1807.06209, eq. 9)."""
    like, start = inference.LowEE(), COSMO.replace(tau_reio=0.06)
    outputs, precision = boltzax.Outputs(l_max=60, lensing=False, k_max=0.3), boltzax.Precision.fast()

    @jax.jit
    def loglike(tau):
        cosmo = start.replace(tau_reio=tau, ln_A_s_1e10=start.ln_A_s_1e10 + 2.0 * (tau - 0.0544))
        D_l = boltzax.solve(cosmo, outputs, precision).unlensed_cl.D_l("muK2")
        return like.loglike(eqx.tree_at(lambda theory: theory.ee, synthetic.theory(COSMO), D_l.ee))

    tau = np.linspace(0.01, 0.12, 45)
    density = np.exp([loglike(t) for t in tau])
    mean = np.sum(density * tau) / np.sum(density)
    sigma = np.sqrt(np.sum(density * (tau - mean) ** 2) / np.sum(density))
    assert mean == pytest.approx(0.0481, abs=3e-4) and sigma == pytest.approx(0.0090, abs=2e-4)
    assert abs(mean - inference.TAU_LOWE[0]) < 0.35 * inference.TAU_LOWE[1]


def test_lensing_band_powers(tmp_path):
    bands, covariance, windows, slopes, fiducial = synthetic.write_lensing(tmp_path)
    like, theory = inference.PlanckLensing(tmp_path, sha256=None), synthetic.theory(COSMO, l_max=2500)
    pp = np.asarray(theory.pp)[8:30]
    model = windows @ pp + slopes @ pp - fiducial
    assert like.loglike(theory) == pytest.approx(gaussian(bands - model, covariance), rel=1e-10)


def test_bao_rows_go_by_name(tmp_path):
    covariance = synthetic.write_bao(tmp_path)
    like = inference.DESI(tmp_path, "DR2", sha256=None)
    theory = synthetic.theory(COSMO, z=(0.1, 0.3, 0.7, 1.0, 2.3))  # further redshifts, for other likelihoods
    z, r = np.array([0.3, 0.7, 2.3]), float(theory.rs_drag)
    D_M = 3000.0 * z / 0.6736
    D_H = 1.0 / (2e-4 * 0.6736 * np.exp(z))
    D_V = (z * D_M**2 * D_H) ** (1 / 3)
    model = np.array([D_V[0], D_M[1], D_H[1], D_H[2], D_M[2]]) / r
    expected = gaussian(np.array([8.0, 17.0, 20.0, 8.6, 39.0]) - model, covariance)
    assert like.loglike(theory) == pytest.approx(expected, rel=1e-10)


def test_likelihoods_are_differentiable_pytrees(tmp_path):
    synthetic.write_plik_lite(tmp_path)
    like = inference.PlikLite(tmp_path, sha256=None)

    @jax.jit
    def loglike(like, h):
        return like.loglike(synthetic.theory(COSMO.replace(h=h)))

    value, slope = jax.value_and_grad(loglike, argnums=1)(like, 0.68)
    step = 1e-5
    numeric = (loglike(like, 0.68 + step) - loglike(like, 0.68 - step)) / (2 * step)
    assert slope == pytest.approx(float(numeric), rel=1e-6)
    assert jnp.isfinite(value)


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_files_are_found_below_the_folder_and_by_the_environment(tmp_path, monkeypatch):
    below = tmp_path / "some" / "where"
    below.mkdir(parents=True)
    synthetic.write_low_tt(below)
    monkeypatch.setenv(files.ENVIRONMENT, str(tmp_path))
    assert inference.LowTT(sha256=None).bandpowers[0] == 50.0


def test_missing_data_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv(files.ENVIRONMENT, raising=False)
    with pytest.raises(LikelihoodDataError, match=r"give data=, or set BOLTZAX_DATA.*planck-lite-py"):
        inference.PlikLite()
    with pytest.raises(LikelihoodDataError, match="does not exist"):
        inference.PlikLite(tmp_path / "nowhere")
    with pytest.raises(LikelihoodDataError, match=r"missing: desi_gaussian.*bao_data"):
        inference.DESI(tmp_path)
    with pytest.raises(ValueError, match="release"):
        inference.DESI(tmp_path, "DR7")
    with pytest.raises(ValueError, match="spectra"):
        inference.PlikLite(tmp_path, "BB")


def test_other_contents_are_refused_by_their_checksum(tmp_path):
    synthetic.write_plik_lite(tmp_path)
    with pytest.raises(ChecksumError, match="plik-lite"):
        inference.PlikLite(tmp_path)


def test_broken_files_are_refused(tmp_path):
    synthetic.write_plik_lite(tmp_path)
    matrix = tmp_path / "c_matrix_plik_v22.dat"
    whole = matrix.read_bytes()
    matrix.write_bytes(whole[:-9])
    with pytest.raises(LikelihoodDataError, match="Fortran record"):
        inference.PlikLite(tmp_path, sha256=None)
    n = synthetic.N_TT + 2 * synthetic.N_POL
    matrix.write_bytes(whole[:4] + (-np.eye(n)).astype("<f8").tobytes() + whole[-4:])
    with pytest.raises(LikelihoodDataError, match="not positive"):
        inference.PlikLite(tmp_path, sha256=None)
    synthetic.write_bao(tmp_path)
    (tmp_path / "desi_gaussian_bao_ALL_GCcomb_mean.txt").write_text("0.3 8.0 DX_over_rs\n")
    with pytest.raises(LikelihoodDataError, match="unknown quantity 'DX_over_rs'"):
        inference.DESI(tmp_path, sha256=None)


# -- the real files ----------------------------------------------------------------------------------------------------


@needs_data
def test_plik_lite_reproduces_its_test_spectrum():
    """Values of the code that the files come with, for the spectrum they come with, at A_planck = 1."""
    path = next(f / "Dl_planck2015fit.dat" for f in files._folders(files.Path(os.environ[files.ENVIRONMENT]))
                if (f / "Dl_planck2015fit.dat").is_file())  # fmt: skip
    table = np.loadtxt(path)
    empty = synthetic.theory(COSMO)
    tt, te, ee = (jnp.asarray(np.concatenate([[0.0, 0.0], table[:, i]])) for i in (1, 2, 3))
    theory = boltzax.inference.Theory(**(vars(empty) | {"tt": tt, "te": te, "ee": ee}))
    high = inference.PlikLite().loglike(theory)
    assert high == pytest.approx(-291.33481235418, rel=1e-11)
    assert inference.PlikLite(spectra="TT").loglike(theory) == pytest.approx(-101.58123068722583, rel=1e-11)
    assert high + inference.LowTT().loglike(theory) == pytest.approx(-293.95586501795134, rel=1e-11)


@needs_data
@pytest.mark.parametrize("release, rows", [("DR1", 12), ("DR2", 13)])
def test_real_distances_are_near_those_of_planck(release, rows):
    """Planck's LCDM fits the distances of each release to two or three sigma per point: order and units are right."""
    like = inference.DESI(release=release)
    th = _planck_distances(like.z)
    assert like.values.size == rows
    assert float(jnp.sum(like.residuals(th, {}) ** 2)) < 3.0 * rows


def _planck_distances(z):
    from types import SimpleNamespace

    from boltzax.background import background

    bg = background(COSMO)
    z = np.asarray(z)
    hubble, distance = bg.hubble(-np.log1p(z)), bg.comoving_distance(z)
    return SimpleNamespace(z=jnp.asarray(z), hubble=hubble, distance=distance, rs_drag=147.09)
