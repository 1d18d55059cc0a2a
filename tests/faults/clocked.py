"""The router with a clock that can be set: ``python -m tests.faults.clocked OFFSET_FILE ARGUMENT…``.

A real process of the real router. Only ``time.time`` is off, by the seconds that stand in the file,
which may change while it runs: as when a truck's clock is set, or has been wrong since its start.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

_real = time.time


def main() -> int:
    offset = Path(sys.argv[1])

    def wrong() -> float:
        return _real() + float(offset.read_text(encoding="utf-8"))

    time.time = wrong
    from router.__main__ import main as router  # noqa: PLC0415  (after the clock is wrong)

    return router(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
