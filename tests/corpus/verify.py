"""dciodvfy (dicom3tools) before and after: what it finds wrong now that was right before."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Where a value is quoted, the value is not what makes an error another one.
_QUOTED = re.compile(r"= <[^>]*>|value is <[^>]*>|<[^<>]*>(?= - )")


def errors(file: bytes) -> frozenset[str]:
    """Its lines that begin with Error, without values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object.dcm"
        path.write_bytes(file)
        done = subprocess.run(
            ["dciodvfy", str(path)], capture_output=True, check=False, timeout=120
        )
    lines = done.stderr.decode("latin-1").splitlines()
    return frozenset(_QUOTED.sub("", line) for line in lines if line.startswith("Error"))


def new_errors(pairs: Iterable[tuple[str, bytes, bytes]]) -> list[str]:
    """``name: error`` for each error of a copy that its original has not."""
    if shutil.which("dciodvfy") is None:
        raise AssertionError("dciodvfy is missing: scripts/bench installs it")
    with ThreadPoolExecutor(2) as pool:
        found = pool.map(lambda p: (p[0], errors(p[2]) - errors(p[1])), pairs)
        return [f"{name}: {line}" for name, lines in found for line in sorted(lines)]
