"""The command `boltzax`: spectra of a cosmology in files and a figure, and their comparison with CLASS."""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

import jax
import numpy as np

import boltzax
from boltzax import comparison, notice, plots
from boltzax import parameters as _p
from boltzax.cosmology import PARAMETERS, Cosmology
from boltzax.errors import BoltzaxError, PrecisionError, UnknownParameterError
from boltzax.inference import command as fitting
from boltzax.show import UNITS

_COMMANDS = ("spectra", "compare", "fit")
_PRESETS = ("default", "fast", "reference")
_SPECTRA = ("tt", "te", "ee", "bb", "pp", "tp", "ep")
_TENSOR_SPECTRA = ("tt", "te", "ee", "bb")
_BAD_INPUT, _INTERRUPTED = 2, 130
_CLASS_DEFAULT_ERROR = (
    "CLASS runs at its default precision, which is good to about 1e-3: differences of that size are its own. "
    "--reference runs CLASS at high precision (minutes)."
)


class _UsageError(BoltzaxError):
    """The command line cannot be read."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0, or 2 after one line on stderr for bad input."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help", "--version")):
        arguments.insert(0, "spectra")
    try:
        _run(_parse(arguments))
    except BoltzaxError as error:
        return _complain(str(error), _BAD_INPUT)
    except OSError as error:
        return _complain(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), _BAD_INPUT)
    except KeyboardInterrupt:
        what_now = "the same command resumes" if arguments[0] == "fit" else "nothing written"
        return _complain(f"interrupted, {what_now}", _INTERRUPTED)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"boltzax: error: {' '.join(message.split())}", file=sys.stderr)
    return code


# -- the command line --------------------------------------------------------------------------------------------------


def _version() -> str:
    try:
        return version("boltzax")
    except PackageNotFoundError:
        return "unknown (not installed)"


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="boltzax",
        description="CMB and matter power spectra of a cosmology.",
        epilog="Without a command: spectra. Without parameters: Planck 2018 LCDM.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"boltzax {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    spectra = commands.add_parser("spectra", help="compute spectra, write them and draw them", allow_abbrev=False)
    compare = commands.add_parser("compare", help="the same, and differences from CLASS (classy)", allow_abbrev=False)
    compare.add_argument("--reference", action="store_true", help="run CLASS at high precision (minutes)")
    fit = commands.add_parser("fit", help="best fit and posterior for real data", allow_abbrev=False)
    fitting.add_arguments(fit)
    for command in (spectra, compare, fit):
        command.add_argument("--params", metavar="FILE", help="YAML file of cosmological parameters")
        if command is not fit:
            command.add_argument("--l-max", type=int, default=2500, metavar="N", help="largest multipole (2500)")
            fitting.add_nonlinear(command, "none", "corrections to the potential that lenses, and a nonlinear P(k)")
        command.add_argument("--out", default="boltzax_out", metavar="DIR", help="output folder (boltzax_out)")
        command.add_argument("--no-plot", action="store_true", help="draw no figure")
        command.add_argument("--precision", choices=_PRESETS, default="default", help="precision of boltzax")
        group = command.add_argument_group("cosmological parameters (they override those of --params)")
        for name, parameter in PARAMETERS.items():
            unit = f" [{parameter.unit}]" if parameter.unit else ""
            group.add_argument(f"--{name}", metavar="X", help=f"{parameter.meaning}{unit}")
    return parser


def _parse(arguments: list[str]) -> argparse.Namespace:
    if not arguments[0].startswith("-") and arguments[0] not in _COMMANDS:
        raise UnknownParameterError.from_name(arguments[0], _COMMANDS, "command")
    options, unknown = _parser().parse_known_args(arguments)
    if unknown and unknown[0].startswith("--"):
        known = [*PARAMETERS, "params", "l-max", "out", "no-plot", "precision", "reference", "help", *fitting.OPTIONS]
        raise UnknownParameterError.from_name(unknown[0][2:].split("=")[0], known, "option or parameter")
    if unknown:
        raise _UsageError(f"unexpected argument '{unknown[0]}' (see boltzax --help)")
    return options


def _given(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in PARAMETERS if getattr(options, name) is not None}
    return {name: _p.parse(name, text) for name, text in given.items()}


def _cosmology(options: argparse.Namespace) -> Cosmology:
    given = _given(options)
    return Cosmology(**given) if options.params is None else Cosmology.from_yaml(options.params).replace(**given)


def _precision(name: str) -> Any:
    if name == "default":
        return boltzax.Precision()
    if not hasattr(boltzax.Precision, name):
        raise PrecisionError(f"this version has no precision preset '{name}'")
    return getattr(boltzax.Precision, name)()


# -- the work ----------------------------------------------------------------------------------------------------------


def _run(options: argparse.Namespace) -> None:
    """Everything that can be refused is refused here before the first long step."""
    if options.command == "fit":
        _fit(options)
        return
    cosmo = _cosmology(options)
    if options.l_max < 2:
        raise PrecisionError(f"--l-max must be at least 2, not {options.l_max}")
    nonlinear = fitting.nonlinear(options)
    outputs, precision = boltzax.Outputs(l_max=options.l_max, nonlinear=nonlinear), _precision(options.precision)
    out = Path(options.out)
    _write_all(out, lambda folder: None)
    if not options.no_plot:
        plots.require_matplotlib()
    if options.command == "compare":
        comparison.import_classy()
    _use_cache()

    print(cosmo)
    results, seconds = _solve(cosmo, outputs, precision)
    k = np.geomspace(1e-4, 1.0, 401)[:-1] * float(cosmo.h)
    spectra = _arrays(results, k)
    reference = None
    if options.command == "compare":
        if not options.reference:
            print(_CLASS_DEFAULT_ERROR)
        with _progress("running CLASS" + (" at high precision (minutes)" if options.reference else "")):
            reference = comparison.class_spectra(cosmo, options.l_max, k, options.reference, nonlinear)

    def write(folder: Path) -> None:
        _write(folder, cosmo, results, spectra, plot=not options.no_plot)
        if reference is not None:
            _write_comparison(folder, spectra, reference, options)

    files = _write_all(out, write)
    _print_derived(results)
    if reference is not None:
        relative = comparison.differences(spectra, reference)
        _print_summary(comparison.summary(relative, options.l_max, k, float(cosmo.h)))
    print(f"first evaluation, with compilation: {seconds[0]:.2f} s; second: {seconds[1]:.2f} s")
    print(f"written to {out}: {', '.join(files)}")


def _fit(options: argparse.Namespace) -> None:
    """`boltzax fit`: the work is in boltzax.inference.command, what is common to all commands here."""
    given = _given(options)
    if options.params is not None:
        given = {name: _p.parse(str(name), value) for name, value in _p.read_yaml(options.params).items()} | given
    model = fitting.model(options, given, _precision(options.precision))
    out = Path(options.out)
    _write_all(out, lambda folder: None)
    if not options.no_plot:
        plots.require_matplotlib()
    _use_cache()
    files = _write_all(out, fitting.run(model, options, out))
    print(f"written to {out}: {', '.join(files)}")


def _use_cache() -> None:
    """Keep compiled programs on disk (BOLTZAX_CACHE_DIR moves them, "off" keeps none)."""
    folder = os.environ.get("BOLTZAX_CACHE_DIR")
    if folder == "off" or (folder is None and os.environ.get("JAX_COMPILATION_CACHE_DIR")):
        return
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    jax.config.update("jax_compilation_cache_dir", folder or os.path.join(base, "boltzax", "jax"))


@contextlib.contextmanager
def _progress(message: str) -> Iterator[None]:
    """Show on stderr what is running: a spinner with rich on a terminal, a line without."""
    start = time.perf_counter()
    spinner: Any = contextlib.nullcontext()
    if sys.stderr.isatty():
        with contextlib.suppress(ImportError):
            from rich.console import Console

            spinner = Console(stderr=True).status(message + " ...")
    if isinstance(spinner, contextlib.nullcontext):
        print(f"{message} ...", file=sys.stderr, flush=True)
    with spinner:
        yield
    print(f"{message}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)


def _solve(cosmo: Cosmology, outputs: Any, precision: Any) -> tuple[Any, tuple[float, float]]:
    """Results, and the seconds that the first and the second evaluation took."""
    seconds = []
    for message in ("compiling and computing spectra (the first call compiles)", "computing spectra again, for timing"):
        with _progress(message), notice.silence():
            start = time.perf_counter()
            results = jax.block_until_ready(boltzax.solve(cosmo, outputs=outputs, precision=precision))
            seconds.append(time.perf_counter() - start)
    return results, (seconds[0], seconds[1])


def _arrays(results: Any, k: np.ndarray) -> dict[str, np.ndarray]:
    """All spectra as NumPy arrays: dimensionless C_l from l = 0, P(k, z=0) [Mpc^3] at k [1/Mpc]."""
    arrays = {"ell": np.asarray(results.lensed_cl.ell), "k": k}
    for kind in ("lensed", "unlensed"):
        spectra = getattr(results, f"{kind}_cl")
        for name in _SPECTRA:
            if getattr(spectra, name, None) is not None:
                arrays[f"{kind}_{name}"] = np.asarray(getattr(spectra, name))
    arrays["pp"] = arrays["lensed_pp"]
    arrays["pk"] = np.asarray(results.pk_lin(k, 0.0))
    arrays["pk_cb"] = np.asarray(results.pk_lin(k, 0.0, species="cb"))
    if results.nonlinear is not None:
        arrays["pk_nonlinear"] = np.asarray(results.pk(k, 0.0))
    if results.tensor_cl is not None:
        arrays |= {f"tensor_{name}": np.asarray(getattr(results.tensor_cl, name)) for name in _TENSOR_SPECTRA}
    return arrays


def _derived(results: Any) -> dict[str, float]:
    derived = results.derived
    items = derived._asdict() if hasattr(derived, "_asdict") else dict(getattr(derived, "__dict__", derived))
    return {name: float(value) for name, value in items.items() if np.size(value) == 1}


# -- output ------------------------------------------------------------------------------------------------------------


def _write_all(out: Path, write: Callable[[Path], None]) -> list[str]:
    """Let `write` fill a temporary folder, then move its files to `out` and return their names; on failure none."""
    if out.exists() and not out.is_dir():
        raise _UsageError(f"--out {out} is not a folder")
    parent = out if out.exists() else next(p for p in out.absolute().parents if p.exists())
    if not parent.is_dir():
        raise _UsageError(f"--out {out} cannot be made: {parent} is not a folder")
    try:
        staging = Path(tempfile.mkdtemp(prefix=".boltzax-", dir=parent))
    except OSError as error:
        raise _UsageError(f"cannot write to --out {out}: {error.strerror}") from error
    try:
        write(staging)
        files = sorted(staging.iterdir())
        if files:
            out.mkdir(parents=True, exist_ok=True)
        for file in files:
            os.replace(file, out / file.name)
        return [file.name for file in files]
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _header(cosmo: Cosmology, lines: Sequence[str]) -> str:
    parameters = "; ".join(f"{name} = {value}" for name, value in cosmo.to_dict().items())
    return "\n".join([f"boltzax {_version()}", parameters, *lines])


def _write(folder: Path, cosmo: Cosmology, results: Any, spectra: dict[str, np.ndarray], plot: bool) -> None:
    ell = spectra["ell"]
    kinds = {"lensed": ("tt", "te", "ee", "bb", "pp"), "unlensed": ("tt", "te", "ee", "pp")}
    modes = "scalar"
    if results.tensor_cl is not None:
        kinds |= {"tensor": _TENSOR_SPECTRA, "unlensed": ("tt", "te", "ee", "bb", "pp")}
        modes = "scalar and tensor"
    for kind, names in kinds.items():
        D_l = getattr(results, f"{kind}_cl").D_l("muK2")
        columns = "   ".join(["l", *(name.upper() if name != "pp" else "phiphi" for name in names)])
        what = "tensor spectra" if kind == "tensor" else f"{kind} spectra of {modes} modes"
        lines = [
            f"{what}; TT, TE, EE, BB: l(l+1)/2pi C_l [muK^2]; phiphi: [l(l+1)]^2/2pi C_l^phiphi [1]",
            columns,
        ]
        table = np.column_stack([ell, *(np.asarray(getattr(D_l, name)) for name in names)])[2:]
        formats = ["%d"] + ["%.10e"] * len(names)
        np.savetxt(folder / f"spectra_{kind}.txt", table, fmt=formats, header=_header(cosmo, lines))
    lines = [
        "linear power spectrum today of all matter and of baryons + cold dark matter",
        "k [1/Mpc]   P [Mpc^3]   P_cb [Mpc^3]",
    ]
    columns = ["k", "pk", "pk_cb"]
    if results.nonlinear is not None:
        lines = [f"{lines[0]}, and that of all matter by {results.nonlinear}", f"{lines[1]}   P_nonlinear [Mpc^3]"]
        columns.append("pk_nonlinear")
    table = np.column_stack([spectra[name] for name in columns])
    np.savetxt(folder / "pk.txt", table, fmt="%.10e", header=_header(cosmo, lines))
    np.savez_compressed(
        folder / "spectra.npz",
        **spectra,
        **{f"derived_{name}": value for name, value in _derived(results).items()},
        parameters=json.dumps(cosmo.to_dict()),
        units="C_l dimensionless from l = 0; k 1/Mpc; pk, pk_cb, pk_nonlinear Mpc^3 at z = 0; derived: Mpc, Gyr",
        version=_version(),
    )
    if plot:
        plots.plot_spectra(results, folder / "spectra.png", k=spectra["k"])


def _write_comparison(
    folder: Path, spectra: dict[str, np.ndarray], reference: dict[str, np.ndarray], options: argparse.Namespace
) -> None:
    relative = comparison.differences(spectra, reference)
    classy = {f"class_{name}": value for name, value in reference.items()}
    difference = {f"difference_{name}": value for name, value in relative.items()}
    np.savez_compressed(folder / "comparison.npz", ell=spectra["ell"], k=spectra["k"], **classy, **difference)
    if not options.no_plot:
        name = "CLASS (high precision)" if options.reference else "CLASS (its default precision)"
        plots.plot_comparison(relative, folder / "comparison.png", spectra["k"], title=f"boltzax against {name}")


def _print_derived(results: Any) -> None:
    print("derived parameters")
    for name, value in _derived(results).items():
        print(f"  {name:<16} {value:.8g} {UNITS.get(name, '')}".rstrip())


def _print_summary(rows: Sequence[tuple[str, str, float, float]]) -> None:
    print(f"{'relative difference':<28} {'band':<20} {'max':>9} {'rms':>9}")
    for label, band, largest, rms in rows:
        print(f"{label:<28} {band:<20} {largest:9.1e} {rms:9.1e}")


if __name__ == "__main__":
    sys.exit(main())
