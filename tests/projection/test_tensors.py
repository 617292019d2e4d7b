"""Tensor modes on the sky: radial functions, spectra against CLASS, derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import reference as ref
from oracle.tensors import BANDS, of_class, table, tensor_cl
from scipy.special import spherical_jn

import boltzax
from boltzax.projection.tensors import radial_functions

POINT = ref.FIDUCIAL | {"r": 0.1, "n_t": 0.0, "alpha_t": 0.0}
# CLASS 3.4.1 with the settings of oracle/tensors.py at POINT, A_s as there: l, TT, TE, EE, BB
CLASS = np.array(
    [
        [2, 6.897127e-12, 8.654884e-15, 1.150409e-16, 2.103340e-16],
        [3, 2.800709e-12, 5.365442e-16, 5.777957e-17, 1.035821e-16],
        [5, 1.033694e-12, -3.524830e-16, 1.486480e-17, 2.634110e-17],
        [8, 4.323514e-13, -1.440870e-16, 2.716254e-18, 4.080363e-18],
        [12, 2.048096e-13, -9.661176e-17, 2.149965e-18, 2.127116e-18],
        [20, 7.746890e-14, -8.993405e-17, 2.112075e-18, 2.056825e-18],
        [40, 1.782348e-14, -8.127400e-17, 1.811161e-18, 1.651960e-18],
        [80, 2.288855e-15, -3.790414e-17, 1.142143e-18, 8.443388e-19],
        [120, 2.598900e-16, -9.471392e-18, 5.512186e-19, 3.087011e-19],
        [160, 1.776101e-17, -5.042652e-19, 1.855629e-19, 8.152130e-20],
        [200, 1.433297e-17, 2.811993e-19, 4.477631e-20, 2.629535e-20],
        [250, 7.964078e-18, -1.639064e-19, 2.453784e-20, 1.840441e-20],
        [300, 1.503525e-18, -1.457561e-20, 2.150209e-20, 1.010557e-20],
    ]
)


def test_radial_functions():
    ell = np.array([2, 3, 10, 60])
    z, functions = radial_functions(ell, 90.0)
    z, functions = z[1:], functions[1:]
    for i, l in enumerate(ell):
        j, slope = spherical_jn(l, z), spherical_jn(l, z, derivative=True)
        bend = -2.0 * slope / z - (1.0 - l * (l + 1.0) / z**2) * j
        expected = j / z**2, -j + bend + 2.0 * j / z**2 + 4.0 * slope / z, 2.0 * slope + 4.0 * j / z
        for found, exact in zip(functions[:, :, i].T, expected, strict=True):
            assert found == pytest.approx(exact, abs=2e-9 * np.abs(exact).max())


def test_radial_functions_begin_with_their_limits():
    ell = np.array([2, 3])
    z, functions = radial_functions(ell, 5.0)
    smooth = np.polynomial.Polynomial.fit(z[1:12], functions[1:12, 0, 0], 10)(0.0), 1.0 / 15.0
    assert functions[0, 0, 0] == pytest.approx(smooth[1], rel=1e-14) == pytest.approx(smooth[0], rel=1e-5)
    extrapolated = np.polynomial.Polynomial.fit(z[1:12], functions[1:12, 1, 0], 10)(0.0)
    assert functions[0, 1, 0] == pytest.approx(extrapolated, rel=1e-4)
    assert functions[0, 2, 0] == functions[0, 0, 1] == 0.0


@pytest.fixture(scope="module")
def spectra():
    return tensor_cl(boltzax.Cosmology(**POINT), boltzax.Precision())


def test_spectra_against_class(spectra):
    ell = CLASS[:, 0].astype(int)
    tt, te, ee, bb = (np.asarray(spectra[name])[ell] for name in ("tt", "te", "ee", "bb"))
    for found, expected, bound in ((tt, CLASS[:, 1], 8e-4), (ee, CLASS[:, 3], 2.2e-4), (bb, CLASS[:, 4], 1.8e-4)):
        assert (np.abs(found / expected - 1.0) < bound).all()
    error = np.abs(te - CLASS[:, 2]) / np.sqrt(CLASS[:, 1] * CLASS[:, 3])
    assert (error < np.where(ell <= 250, 8e-4, 9.6e-4)).all()


def test_a_miss_is_bold_in_the_table_of_errors():
    good, bad = (3e-4, 9), (-2.1e-3, 2)
    near = {"tt": good, "te": bad, "ee": (np.nan, 2), "bb": good}
    found = [{BANDS[0]: dict.fromkeys(near, good), BANDS[1]: dict.fromkeys(near, bad)}]
    rows = table([*found, {BANDS[0]: near, BANDS[1]: dict.fromkeys(near, good)}], "command").splitlines()
    assert rows[0] == "`command`"
    assert rows[-2:] == [
        "| 2 to 300 | 3.0e-04 | **2.1e-03** | **nan** | 3.0e-04 |",
        "| 301 to 800 | 2.1e-03 | 2.1e-03 | 2.1e-03 | 2.1e-03 |",
    ]


@pytest.mark.oracle
def test_table_is_class():
    found = of_class(POINT)
    ell = CLASS[:, 0].astype(int)
    for column, name in enumerate(("tt", "te", "ee", "bb"), 1):
        assert found[name][ell] == pytest.approx(CLASS[:, column], rel=2e-6)


PARAMETERS = {"h": 0.6736, "omega_b": 0.02237, "N_ur": 2.0328, "tau_reio": 0.0544, "r": 0.1, "n_t": -0.05}
SMALL = boltzax.Precision(n_k=0.8, n_v=2.0, x_stream=15.0, n_tail=6, n_k_tensors=40, l_max_tensors=120, l_growth=0.2)
SCALE = {"tt": 1e12, "te": 1e14, "ee": 1e15, "bb": 1e15}
WEIGHTS = np.random.default_rng(3).normal(size=(4, 121)) * np.arange(121) ** 2


def score(values):
    """A number made of all four spectra."""
    cl = tensor_cl(boltzax.Cosmology(**dict(zip(PARAMETERS, values, strict=True)), YHe=0.2454), SMALL)
    stacked = jnp.stack([cl[name] * scale for name, scale in SCALE.items()])
    return jnp.sum(WEIGHTS * stacked)


def test_derivatives_forward_reverse_and_by_differences():
    x = jnp.array(list(PARAMETERS.values()))
    reverse = jax.jit(jax.grad(score))(x)
    f = jax.jit(score)
    forward = jax.jit(jax.jvp, static_argnums=0)(score, (x,), (0.1 * x,))[1]
    assert forward == pytest.approx(float(reverse @ (0.1 * x)), rel=1e-9)
    for i in range(len(PARAMETERS)):
        step = 2e-3 * abs(float(x[i])) * np.eye(len(PARAMETERS))[i]
        central = lambda s: float(f(x + s) - f(x - s)) / (2.0 * np.abs(s).sum())
        differences = (4.0 * central(step) - central(2.0 * step)) / 3.0
        assert float(reverse[i]) == pytest.approx(differences, rel=1e-5)


def test_batch_agrees_with_single_points():
    batch = jnp.array([[0.66, 0.021, 2.0, 0.05, 0.05, 0.0], [0.70, 0.023, 2.5, 0.06, 0.20, -0.1]])
    f = jax.jit(score)
    assert np.asarray(jax.jit(jax.vmap(score))(batch)) == pytest.approx([float(f(x)) for x in batch], rel=1e-9)
