"""Makes the committed reference tables: `python -m oracle.make_references [--points NAME ...] [--cache DIR]`.

Runs classy where the cache has no result yet (about 100-250 CPU s a point), packs the results into tests/reference
and writes the manifest: CLASS version, every setting and parameter, date, sha256 of each file, convergence error.
Give OMP_NUM_THREADS to say how many cores CLASS takes.

Packing: the fiducial and the massless point in float64. A variation is run at lighter settings (`VARIATION`) and
stored against the fiducial point at the same settings, C / C_fid - 1 (cross spectra: the difference of
C_XY / sqrt(C_XX C_YY)), P / P_fid - 1 at equal k in h/Mpc, in float32 (a loss of 1e-8 or less); what the lighter
settings do to both drops out of the ratio.
"""

import argparse
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from oracle import reference as ref
from oracle import runs as finished
from oracle.compare import compare_spectra
from oracle.files import save_npz, write_json
from oracle.stages import background_settings, compute_background, stage_settings, stages

_SPECTRA = ("lensed_tt", "lensed_te", "lensed_ee", "lensed_bb", "lensed_pp", "lensed_tp")
_RAW = ("unlensed_tt", "unlensed_te", "unlensed_ee")
L_MAX_VARIATION = 2600  # the tables of variations end here
STAGE_POINTS = ("fiducial", "massless")


def pack_full(result: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a float64 spectra table."""
    keep = (*_SPECTRA, *_RAW, "k", "z", "pk", "pk_cb")
    return {k: v for k, v in result.items() if k in keep or k.startswith("derived_")}


def pack_variation(result: Mapping[str, np.ndarray], fiducial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a variation's table, relative to the fiducial point (see the module docstring)."""
    packed = {}
    for name in (*_SPECTRA, *_RAW):
        change = ref.normalised(name, result) - ref.normalised(name, fiducial)
        if name[-2] == name[-1]:
            with np.errstate(invalid="ignore"):
                change = result[name] / fiducial[name] - 1.0
        packed[name] = np.nan_to_num(change).astype(np.float32)[: L_MAX_VARIATION + 1]
    for name in ("pk", "pk_cb"):
        packed[name] = (result[name] / fiducial[name] - 1.0).astype(np.float32)
    packed |= {"k": result["k"], "z": result["z"]}
    packed |= {k: v for k, v in result.items() if k.startswith("derived_")}
    packed["derived_sigma8"] = result["derived_sigma8"] / fiducial["derived_sigma8"] - 1.0
    return packed


def _write(folder: Path, name: str, arrays: dict[str, np.ndarray], settings: dict[str, Any], entries: dict) -> None:
    path = folder / f"{name}.npz"
    save_npz(path, arrays)
    entries[path.name] = {
        "sha256": ref.sha256(path),
        "made": datetime.now(UTC).date().isoformat(),
        "class_settings": {k: settings[k] for k in sorted(settings)},
    }
    print(f"{path.name}: {path.stat().st_size / 1024:.0f} kB")


def convergence(cache: Path | None, run: bool) -> dict[str, Any]:
    """Errors of the reference settings against the tighter ones at the stage points, where those runs exist."""
    report = {}
    for name in STAGE_POINTS:
        settings = ref.class_settings(ref.POINTS[name], "tighter")
        if not run and not finished.cache_path("spectra", settings, cache).exists():
            continue
        tighter = finished.cached("spectra", settings, ref.spectra, cache)
        now = finished.cached("spectra", ref.table_settings(name), ref.spectra, cache)
        report[name] = {"against": settings, "errors": compare_spectra(now, tighter, ref.L_MAX)}
    return report


def make(points: list[str], folder: Path, cache: Path | None, with_convergence: bool, only_cached: bool) -> None:
    """Computes what the cache lacks, writes the tables of the points and updates the manifest."""

    def available(kind: str, settings: dict[str, Any]) -> bool:
        return not only_cached or finished.cache_path(kind, settings, cache).exists()

    path = folder / ref.MANIFEST
    old = json.loads(path.read_text()) if path.exists() else {"files": {}}
    entries = dict(old["files"])
    for name in points:
        point = ref.POINTS[name]
        settings = ref.table_settings(name)
        base_settings = ref.class_settings(ref.FIDUCIAL, ref.table_precision(name))  # a variation's ratio is to this
        if available("spectra", settings) and (name in STAGE_POINTS or available("spectra", base_settings)):
            result = finished.cached("spectra", settings, ref.spectra, cache)
            if name in STAGE_POINTS:
                _write(folder, f"spectra_{name}", pack_full(result), settings, entries)
            else:
                base = finished.cached("spectra", base_settings, ref.spectra, cache)
                extra = finished.cached("background", background_settings(point), compute_background, cache)
                _write(folder, f"spectra_{name}", pack_variation(result, base) | extra, settings, entries)
                entries[f"spectra_{name}.npz"]["thermodynamics_settings"] = background_settings(point)
        if name in STAGE_POINTS and available("stages", stage_settings(point)):
            _write(folder, f"stages_{name}", stages(name, cache), stage_settings(point), entries)
            entries[f"stages_{name}.npz"]["thermodynamics_settings"] = background_settings(point)
    measured = old.get("convergence", {}) | convergence(cache, with_convergence)
    content = {
        "made_by": "python -m oracle.make_references",
        "class_version": finished.class_version(),
        "points": {name: ref.POINTS[name] for name in ref.POINTS},
        "files": {k: entries[k] for k in sorted(entries)},
        "convergence": measured,
    }
    write_json(path, content)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", nargs="+", default=list(ref.POINTS), choices=list(ref.POINTS), metavar="NAME")
    parser.add_argument("--cache", type=Path, help="folder of finished runs (default: the user's cache)")
    parser.add_argument("--out", type=Path, default=ref.REFERENCE_DIR)
    parser.add_argument("--convergence", action="store_true", help="also run the tighter settings (about 10 CPU min)")
    parser.add_argument("--only-cached", action="store_true", help="pack what is in the cache, run nothing long")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    make(options.points, options.out, options.cache, options.convergence, options.only_cached)


if __name__ == "__main__":
    main()
