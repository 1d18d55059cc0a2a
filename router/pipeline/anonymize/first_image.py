"""The first image of a study says whose it is: the others, which may be faster, wait where it counts."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FirstImageBarrier:
    """An image that goes first; it must have been begun before any other. Thread-safe."""

    def __init__(self, instance: str | None = None) -> None:
        """``None``: nobody leads, nobody waits."""
        self._instance = instance
        self._key, self._patient = threading.Event(), threading.Event()
        if instance is None:
            self.finished(instance)

    @contextmanager
    def before_key(self, instance: str) -> Iterator[None]:
        """Inside, the key of its patient is chosen."""
        with self._passing(instance, self._key):
            yield

    def wait_for_key(self, instance: str) -> None:
        """Returns once the first image has its key; to the first image itself at once."""
        if instance != self._instance:
            self._key.wait()

    @contextmanager
    def before_patient(self, instance: str) -> Iterator[None]:
        """Inside, its patient is compared with what is known, and becomes known."""
        with self._passing(instance, self._patient):
            yield

    def finished(self, instance: str | None) -> None:
        """The image has come to its end, whichever: nobody waits for it any more."""
        if instance == self._instance:
            self._key.set()
            self._patient.set()

    @contextmanager
    def _passing(self, instance: str, passed: threading.Event) -> Iterator[None]:
        if instance != self._instance:
            passed.wait()
        yield
        if instance == self._instance:
            passed.set()
