"""What objects print: names, values and units on one screen, whatever they hold; and that they can be kept in files."""

import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import boltzax
from boltzax.background import background
from boltzax.show import quantity
from boltzax.spectra.angular import AngularSpectra


@pytest.fixture(scope="module")
def results(solved):
    return solved("fiducial")


def spectra(l_max=30):
    ell = jnp.arange(l_max + 1.0)
    return AngularSpectra(ell, *(jnp.full(l_max + 1, 10.0**-n) for n in range(10, 17)), jnp.asarray(2.7255))


def test_quantity_says_what_it_knows():
    assert quantity(jnp.asarray(67.36), "km/s/Mpc") == "67.36 km/s/Mpc"
    assert quantity(np.array([0.06])) == "(0.06,)" and quantity(jnp.array([0.1, 0.2]), "eV") == "(0.1, 0.2) eV"
    assert quantity(jnp.zeros((3, 5)), "Mpc") == "array (3, 5) Mpc"
    assert quantity("hyrec") == "hyrec" and quantity(3) == "3"


def test_spectra_print_their_unit_and_values():
    text = repr(spectra())
    assert "C_l, dimensionless, l = 0..30" in text
    (row,) = [line for line in text.splitlines() if line.strip().startswith("tt")]
    assert row.split() == ["tt", "1e-10", "1e-10"]  # at l = 2 and 10
    band_powers = spectra().D_l("muK2")
    assert "D_l in muK2" in repr(band_powers) and band_powers.unit == "muK2"
    (row,) = [line for line in repr(band_powers).splitlines() if line.strip().startswith("tt")]
    assert float(row.split()[1]) == pytest.approx(2 * 3 / (2 * np.pi) * 1e-10 * 2.7255e6**2, rel=1e-3)


def test_background_prints_units():
    text = repr(background(boltzax.Cosmology()))
    assert "tau_0 = 1415" in text and " Mpc," in text and "age = 13.79" in text and "Gyr" in text and "1/Mpc^2" in text
    assert len(text.splitlines()) < 25


@pytest.mark.parametrize("make", [spectra, lambda: background(boltzax.Cosmology()), boltzax.Cosmology])
def test_texts_of_traced_mapped_and_emptied_objects(make):
    seen = []
    one = make()
    jax.jit(lambda x: seen.append(repr(x)) or jax.tree.leaves(x)[0])(one)
    seen.append(repr(jax.tree.map(lambda v: jnp.stack([v, v]), one)))
    seen.append(repr(jax.eval_shape(lambda x: x, one)))
    seen.append(repr(jax.tree.map(lambda v: None, one)))
    assert all(text.startswith(type(one).__name__) and len(text.splitlines()) < 30 for text in seen)


def test_results_on_one_screen(results):
    text = repr(results)
    assert len(text.splitlines()) < 20 and max(map(len, text.splitlines())) < 180
    assert "up to l = 2500" in text and "rs_drag = 147.0" in text and "Mpc" in text and "h = 0.6736" in text
    assert "sigma8 = 0.81" in repr(results.derived) and "H0 = 67.36 km/s/Mpc" in repr(results.derived)
    assert "rs_rec = 144.5" in repr(results.thermodynamics)
    for change in (lambda v: jnp.stack([v, v]), lambda v: None, lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype)):
        assert len(repr(jax.tree.map(change, results)).splitlines()) < 20


def _same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


def test_results_survive_pickling(results):
    again = pickle.loads(pickle.dumps(results))
    _same(again, results)
    np.testing.assert_array_equal(again.pk_lin(0.1, 1.0), results.pk_lin(0.1, 1.0))
    cosmo, outputs, precision = (results.cosmology, boltzax.Outputs(l_max=30), boltzax.Precision.fast())
    assert pickle.loads(pickle.dumps((outputs, precision))) == (outputs, precision)
    _same(pickle.loads(pickle.dumps(cosmo)), cosmo)


def test_results_survive_serialisation(results, tmp_path):
    """Into a file, and back into a skeleton of shapes such as `jax.eval_shape` makes."""
    eqx.tree_serialise_leaves(tmp_path / "results.eqx", results)
    skeleton = jax.tree.map(lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype), results)
    _same(eqx.tree_deserialise_leaves(tmp_path / "results.eqx", skeleton), results)
