"""Files that are either old or whole: what the oracle writes goes through a temporary file beside it."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np


def _replace(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as handle:
            write(handle)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Replaces a text file in one step."""
    _replace(Path(path), lambda handle: handle.write(text.encode()))


def write_json(path: str | Path, content: Any) -> None:
    """Replaces a JSON file in one step."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def save_npz(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Replaces a compressed npz in one step; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, lambda handle: np.savez_compressed(handle, **arrays))
