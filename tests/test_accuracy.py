"""End to end: boltzax against CLASS at reference precision, every l from 2 to 2500, every k and z of the tables.

The bounds and the error measures are those of `oracle.accuracy`, which prints the table in docs/accuracy.md.
"""

import pytest
from oracle import accuracy
from oracle import reference as ref


@pytest.fixture(scope="module")
def report(solved):
    made = {}

    def get(name: str):
        if name not in made:
            made[name] = accuracy.point_report(name, solved(name))
        return made[name]

    return get


@pytest.mark.parametrize("requirement", accuracy.REQUIREMENTS, ids=lambda r: r.label)
@pytest.mark.parametrize("name", ["fiducial", "massless"])
def test_accuracy(name, requirement, report):
    assert accuracy.reached(report(name), requirement) <= accuracy.bound(requirement, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ref.VARIATIONS)
def test_accuracy_of_variations(name, solved):
    assert accuracy.misses(accuracy.point_report(name, solved(name)), name) == []
