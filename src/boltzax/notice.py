"""What boltzax says while it works: messages of the logger "boltzax".

Where a program has set logging up, its handlers and levels decide. Where nobody has, messages go to stderr. Either way
``logging.getLogger("boltzax").setLevel("WARNING")`` or the environment variable BOLTZAX_LOG=WARNING switches them off.
"""

import logging
import os
import sys
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

import equinox as eqx
import jax
import numpy as np

from boltzax.errors import is_traced

logger = logging.getLogger("boltzax")
if os.environ.get("BOLTZAX_LOG"):
    logger.setLevel(os.environ["BOLTZAX_LOG"].upper())

_PATIENCE = 3.0  # seconds before a first call says why it takes long
_begun: set[Hashable] = set()
_COMPILING = (
    "compiling for these outputs, precision and species, about half a minute; further cosmologies take a second "
    "or less (BOLTZAX_LOG=WARNING hides this message)"
)


def inform(message: str) -> None:
    """A message of level INFO."""
    if logger.hasHandlers():
        logger.info(message)
    elif logger.level <= logging.INFO and not logger.disabled:  # nobody has set logging up
        print(f"boltzax: {message}", file=sys.stderr, flush=True)


class Waiting:
    """Says after a few seconds that a program is being compiled, unless it is over by then."""

    def __init__(self, new: bool):
        self._timer = threading.Timer(_PATIENCE, inform, (_COMPILING,)) if new else None
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()

    def over(self) -> None:
        """Nothing more to be said."""
        if self._timer is not None:
            self._timer.cancel()


@contextmanager
def first_call(*arguments: Hashable) -> Iterator[Waiting]:
    """Around a call that compiles the first time with each structure of its arguments: if that takes long, say so once.

    Inside a transformation nothing is said: whoever compiles there knows.
    """
    leaves, structure = jax.tree.flatten(arguments)
    key = (structure, tuple(np.shape(leaf) if eqx.is_array_like(leaf) else leaf for leaf in leaves))
    waiting = Waiting(key not in _begun and not is_traced(leaves))
    _begun.add(key)
    try:
        yield waiting
    finally:
        waiting.over()


@contextmanager
def silence() -> Iterator[None]:
    """No messages within."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
