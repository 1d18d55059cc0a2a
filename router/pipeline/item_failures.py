"""Single items that failed while others go on: passed over for a while, and told."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from router.records.errors import (
    Code,
    EdgeRouterError,
    JournalError,
    OrthancDenied,
    OrthancUnreachable,
)
from router.records.set_aside import SetAside

if TYPE_CHECKING:
    from router.truck.orthanc import TruckOrthanc

_log = logging.getLogger(__name__)


class ItemFailures:
    """Of intake. One thread uses it."""

    def __init__(self, orthanc: TruckOrthanc) -> None:
        self._orthanc = orthanc
        self._aside = SetAside()

    def add(self, item: str, error: Exception, what: str) -> None:
        """Sets an item aside: the others go on. Raises the error where it is of all of them."""
        if isinstance(error, (OrthancUnreachable, OrthancDenied)) and not self._orthanc.answers():
            raise error
        failures = self._aside.put(item, time.monotonic())
        if isinstance(error, JournalError):
            raise error
        code = error.code if isinstance(error, EdgeRouterError) else Code.UNEXPECTED
        _log.error(
            "%s (%s)",
            what,
            type(error).__name__,
            extra={"action": "intake", "code": code, "attempt": failures},
        )

    def forget(self, item: str) -> None:
        """It went well."""
        self._aside.forget(item)

    def passed_over(self) -> set[str]:
        """Items that are not to be tried yet."""
        return set(self._aside.passed_over(time.monotonic()))
