"""The first image of a study fixes its key and its patient: the others wait for it where that counts."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class FirstImageBarrier:
    """Lets the other images of a study wait for its first one. Thread-safe.

    The first one must have been begun before any other.
    """

    def __init__(self, instance: str | None = None) -> None:
        """``instance``: the first one; ``None``: no image waits."""
        self._instance = instance
        self._key, self._patient = threading.Event(), threading.Event()
        if instance is None:
            self.finished(instance)

    @contextmanager
    def before_key(self, instance: str) -> Iterator[None]:
        """Waits for the first image's key; inside, the key of this one's patient is chosen."""
        with self._passing(instance, self._key):
            yield

    def wait_for_key(self, instance: str) -> None:
        """Returns once the first image has its key; to the first image itself at once."""
        if instance != self._instance:
            self._key.wait()

    @contextmanager
    def before_patient(self, instance: str) -> Iterator[None]:
        """Waits for the first image's patient; inside, this one's is compared and becomes known."""
        with self._passing(instance, self._patient):
            yield

    def finished(self, instance: str | None) -> None:
        """Ends the wait for an image that has come to its end, whichever."""
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
