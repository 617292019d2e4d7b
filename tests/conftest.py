"""Shared fixtures: float64, a persistent compilation cache, reference tables, and solved points."""

import ctypes
import gc
import importlib.util
import os
import sys
from pathlib import Path

import jax
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for `oracle`, which is not an installed package

from oracle import reference as oracle_reference  # noqa: E402

jax.config.update("jax_enable_x64", True)
# Programs compiled once are read back by later runs; BOLTZAX_TEST_CACHE moves the folder.
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "boltzax" / "jax"
jax.config.update("jax_compilation_cache_dir", os.environ.get("BOLTZAX_TEST_CACHE") or str(_CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skips what this machine or this run does not provide for, with the reason."""
    wanted = config.getoption("markexpr") or ""
    no_classy = importlib.util.find_spec("classy") is None
    for item in items:
        if "oracle" in item.keywords and no_classy:
            item.add_marker(pytest.mark.skip(reason="needs classy: pip install 'boltzax[oracle]'"))
        if "live" in item.keywords and not {"oracle", "live"} & set(wanted.split()):
            item.add_marker(pytest.mark.skip(reason="minutes of CLASS at random points: run with -m oracle"))
        if "slow" in item.keywords and "slow" not in wanted:
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with -m slow"))
        if "gpu" in item.keywords and jax.default_backend() != "gpu":
            item.add_marker(pytest.mark.skip(reason="needs a GPU"))


_MAPS, _STATM = Path("/proc/self/maps"), Path("/proc/self/statm")
_MANY_MAPS = 25_000  # a solver compiled for one structure takes 2400 of them; Linux allows a process 65530
_MUCH_MEMORY = 4 * 2**30  # bytes; beside it a test takes up to 2 GiB while it compiles, and two processes may run


def _compiled_programs_weigh() -> bool:
    """Whether memory maps or resident memory are near what would end the process."""
    if not _MAPS.exists():
        return False
    resident = int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident > _MUCH_MEMORY or _MAPS.read_bytes().count(b"\n") > _MANY_MAPS


@pytest.fixture(scope="module", autouse=True)
def _few_compiled_programs():
    """Forgets compiled programs when they are so many that the next could end the process; the cache has them."""
    yield
    if _compiled_programs_weigh():
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc returns what was freed only when it is asked to
        if trim:
            trim(0)


@pytest.fixture(scope="session")
def reference():
    """Loader of committed tables: reference("fiducial") spectra, reference("fiducial", "stages") stage table."""
    loaded = {}

    def load(name: str, kind: str = "spectra"):
        if (name, kind) not in loaded:
            load_one = {"spectra": oracle_reference.load_spectra, "stages": oracle_reference.load_stages}[kind]
            loaded[name, kind] = load_one(name)
        return loaded[name, kind]

    return load


def _cosmology(name: str):
    import boltzax

    return boltzax.Cosmology(**oracle_reference.POINTS[name])


@pytest.fixture(scope="session")
def fiducial_cosmology():
    """The fiducial point: Planck 2018 LCDM with one neutrino of 0.06 eV."""
    return _cosmology("fiducial")


@pytest.fixture(scope="session")
def massless_cosmology():
    """The fiducial point with massless neutrinos only, N_ur = 3.044."""
    return _cosmology("massless")


@pytest.fixture(scope="session")
def solved():
    """solved(name): `boltzax.solve` at a reference point, default precision, l_max = 2500; once a session.

    `solve` compiles itself once for all points with the same number of massive neutrinos.
    """
    import boltzax

    results = {}

    def get(name: str):
        if name not in results:
            results[name] = boltzax.solve(_cosmology(name), outputs=boltzax.Outputs(), precision=boltzax.Precision())
        return results[name]

    return get
