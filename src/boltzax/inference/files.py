"""Data files of likelihoods: found in a folder that the user names, and checked against known contents."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from boltzax.errors import ChecksumError, LikelihoodDataError

__all__ = ["ENVIRONMENT", "digest", "read_files", "read_fortran_matrix", "read_table"]

#: environment variable that names the folder where none is given
ENVIRONMENT = "BOLTZAX_DATA"
_DEPTH = 5  # folders below the named one that are looked into


def read_files(
    data: str | os.PathLike | None, names: Sequence[str], sha256: str | None, title: str, source: str
) -> dict[str, bytes]:
    """Contents of the files `names`, which lie together in `data` or a folder below it.

    data: a folder, or None for the one that the environment variable BOLTZAX_DATA names. names: paths relative to the
    folder that holds them. sha256: `digest` of the right contents; None takes any. title, source: what the files are
    and where they come from, for messages.

    Raises LikelihoodDataError if no folder holds all the files, ChecksumError if those that do have other contents.
    """
    advice = f"{title} can be had from {source}"
    if data is None:
        data = os.environ.get(ENVIRONMENT)
    if not data:
        raise LikelihoodDataError(f"no data folder for {title}: give data=, or set {ENVIRONMENT}. {advice}")
    root = Path(data)
    if not root.is_dir():
        raise LikelihoodDataError(f"the data folder '{root}' does not exist. {advice}")
    folders = [f for f in _folders(root) if all((f / name).is_file() for name in names)]
    if not folders:
        missing = next((n for n in names if not any((f / n).is_file() for f in _folders(root))), names[0])
        raise LikelihoodDataError(f"no folder in '{root}' holds the files of {title} (missing: {missing}). {advice}")
    for folder in folders:
        contents = {name: (folder / name).read_bytes() for name in names}
        if sha256 is None or digest(contents) == sha256:
            return contents
    raise ChecksumError(
        f"the files of {title} in '{folders[-1]}' are not those that this likelihood was checked with: "
        f"sha256 {digest(contents)}, not {sha256}. {advice}; sha256=None reads other files of the same format"
    )


def _folders(root: Path) -> Iterator[Path]:
    for path, below, _ in os.walk(root):
        folder = Path(path)
        deep = len(folder.relative_to(root).parts) >= _DEPTH
        below[:] = [] if deep else sorted(name for name in below if not name.startswith("."))
        yield folder


def digest(contents: dict[str, bytes]) -> str:
    """SHA-256 of the SHA-256 of each file, in the order given."""
    each = "".join(hashlib.sha256(content).hexdigest() for content in contents.values())
    return hashlib.sha256(each.encode()).hexdigest()


def read_table(content: bytes, columns: int | None = None, name: str = "table") -> np.ndarray:
    """Numbers of a text table [rows, columns]; text after # is skipped.

    Raises LikelihoodDataError if it cannot be read or has another number of columns.
    """
    try:
        rows = [line.split("#")[0].split() for line in content.decode().splitlines()]
        table = np.array([[float(value) for value in row] for row in rows if row])
    except (UnicodeDecodeError, ValueError) as error:
        raise LikelihoodDataError(f"{name} is not a table of numbers: {error}") from error
    if table.ndim != 2 or (columns is not None and table.shape[1] != columns):
        raise LikelihoodDataError(f"{name} has shape {table.shape}, expected {columns or 'several'} columns")
    return table


def read_fortran_matrix(content: bytes, n: int, name: str = "matrix") -> np.ndarray:
    """A float64 matrix [n, n] out of one Fortran unformatted record with four-byte marks.

    Raises LikelihoodDataError if marks and sizes disagree.
    """
    size = 8 * n * n
    if len(content) != size + 8 or any(int.from_bytes(m, "little") != size for m in (content[:4], content[-4:])):
        raise LikelihoodDataError(f"{name} is not one Fortran record of {n} x {n} float64")
    return np.frombuffer(content[4:-4], dtype="<f8").reshape(n, n)
