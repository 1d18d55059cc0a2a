"""The child that reads headers nobody has read yet: within limits, and with the router's parser.

What it can read to its end, the router can. It makes every value of every element, as the
de-identification does, and answers with how many there are, or with what was too much.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom import filereader
from pydicom.multival import MultiValue

from router.dicom import part10
from router.dicom.bounds import MOST_ELEMENTS, MOST_VALUES
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_PAGE_BYTES = resource.getpagesize()


class _TooMuch(Exception):
    """The header goes beyond what any header may have."""


class _Count:
    """How many elements, items and values were met."""

    def __init__(self) -> None:
        self.items = 0
        self.elements = 0
        self.values = 0

    def add(self, dataset: Dataset) -> None:
        for element in dataset:
            self.elements += 1
            if element.VR == "SQ":
                for item in element.value:
                    self.elements += 1
                    self.add(item)
            elif isinstance(element.value, MultiValue | list):
                self.values += len(element.value)
            if self.elements > MOST_ELEMENTS:
                raise _TooMuch(f"more than {MOST_ELEMENTS} attributes and items")
            if self.values > MOST_VALUES:
                raise _TooMuch(f"more than {MOST_VALUES} values")


def _stop_in_time(count: _Count) -> None:
    """Has pydicom count the items that it makes: it makes all of a sequence before it gives one."""
    made = filereader.read_sequence_item

    def counted(*arguments: Any, **more: Any) -> Dataset | None:  # noqa: ANN401  (pydicom's own)
        count.items += 1
        if count.items > MOST_ELEMENTS:
            raise _TooMuch(f"more than {MOST_ELEMENTS} items")
        return made(*arguments, **more)

    filereader.read_sequence_item = counted


def _check(source: str, count: _Count) -> dict[str, Any]:
    try:
        with Path(source).open("rb") as stream:
            count.items = count.elements = count.values = 0
            count.add(part10.read(stream))
    except _TooMuch as much:
        return {"code": Code.HEADER_TOO_LARGE, "detail": str(much)}
    except MemoryError:
        return {"code": Code.HEADER_TOO_LARGE, "detail": "reading it takes too much memory"}
    # Its own faults are the router's to name: it reads the file next, and they cost little.
    except (Hold, RecursionError):
        pass
    # The boundary of the process: pydicom meets broken values with whatever its parsing runs into.
    except Exception as error:  # noqa: BLE001
        return {"code": Code.UNREADABLE, "detail": f"reading stopped with {type(error).__name__}"}
    return {}


def main() -> None:
    """Answers requests from standard input until it ends."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE_BYTES
    limit = taken + int(sys.argv[1]) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    count = _Count()
    _stop_in_time(count)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_check(json.loads(line)["source"], count)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
