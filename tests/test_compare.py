"""The error measures themselves, on spectra with a known error put in."""

from itertools import pairwise

import numpy as np
import pytest
from oracle.compare import BANDS, cl_error, compare_cl, compare_spectra, compare_values, table


@pytest.fixture
def spectra(reference):
    return {name: reference("fiducial")[f"lensed_{name}"] for name in ("tt", "te", "ee", "bb", "pp")}


def test_one_wrong_multipole_is_found(spectra):
    wrong = {name: values.copy() for name, values in spectra.items()}
    wrong["tt"][1234] *= 1.0 + 3e-4
    wrong["te"][700] += 2e-4 * np.sqrt(spectra["tt"][700] * spectra["ee"][700])
    report = compare_cl(wrong, spectra, 2500)
    assert report["tt"]["500-2000"]["max"] == pytest.approx(3e-4, rel=1e-9)
    assert report["tt"]["500-2000"]["at"] == report["tt"]["total"]["at"] == 1234
    assert report["tt"]["total"]["rms"] == pytest.approx(3e-4 / np.sqrt(2499), rel=1e-9)
    assert report["te"]["500-2000"]["max"] == pytest.approx(2e-4, rel=1e-9)
    assert report["tt"]["2-30"]["max"] == report["ee"]["total"]["max"] == 0.0


def test_bands_cover_every_multipole_once(spectra):
    for l_max in (1000, 2500, 3000):
        wrong = {"tt": spectra["tt"] * 1.001}
        report = compare_cl(wrong, {"tt": spectra["tt"]}, l_max)["tt"]
        ends = [tuple(map(int, band.split("-"))) for band in report if band != "total"]
        assert ends[0][0] == BANDS[0][0] and ends[-1][1] == l_max
        assert all(a[1] == b[0] for a, b in pairwise(ends))


def test_nan_is_the_worst_error(spectra):
    wrong = dict(spectra, tt=np.where(np.arange(3001) == 77, np.nan, spectra["tt"]))
    row = compare_cl(wrong, spectra, 2500)["tt"]["total"]
    assert row["at"] == 77 and not row["max"] <= 1.0
    assert not compare_values(np.array([1.0, np.nan]), np.ones(2), np.arange(2.0))["max"] <= 1.0


def test_shorter_spectra_are_compared_where_both_exist(spectra):
    short = spectra["ee"][:1501]
    assert cl_error("ee", {"ee": short}, spectra).shape == (1501,)


def test_table_of_a_report(reference):
    point = reference("fiducial")
    text = table(compare_spectra(point, point))
    assert "2000-2500" in text and "pk_cb" in text and "0.00/0.00" in text
