"""Constant tables that are built in a thread of their own, before they are needed."""

from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from threading import Thread
from typing import Generic, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Ahead(Generic[P, T]):
    """A function whose values are kept, and can be begun with `begin` while the caller does something else.

    The thread is outside every transformation of JAX that is under way, whose state belongs to a thread.
    """

    def __init__(self, build: Callable[P, T], maxsize: int):
        self.__doc__ = build.__doc__
        self.begin = lru_cache(maxsize)(lambda *args: _started(build, *args))

    def __call__(self, *args: P.args) -> T:
        try:
            return self.begin(*args).result()
        except Exception:
            self.begin.cache_clear()  # a failure is not kept
            raise


def ahead(maxsize: int) -> Callable[[Callable[P, T]], Ahead[P, T]]:
    """Decorator of a function of hashable arguments: `Ahead` of it, with the last `maxsize` values kept."""
    return lambda build: Ahead(build, maxsize)


def _started(build: Callable[P, T], *args: P.args) -> "Future[T]":
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(build(*args))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, name="boltzax tables").start()
    return future
