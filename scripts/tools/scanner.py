"""The scanner's side: sends files to the truck by C-STORE with DCMTK's storescu."""

from __future__ import annotations

import subprocess
from collections import defaultdict
from typing import TYPE_CHECKING

from pydicom import uid

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.support.data import Source

# storescu proposes one compressed transfer syntax at a time.
_PROPOSE = {
    uid.JPEG2000Lossless: "--propose-j2k-lossless",
    uid.JPEG2000: "--propose-j2k-lossy",
    uid.JPEGLSLossless: "--propose-jls-lossless",
    uid.JPEGLosslessSV1: "--propose-lossless",
    uid.RLELossless: "--propose-rle",
}


class SendFailed(Exception):
    """storescu did not get every file accepted."""


def send(
    sources: Iterable[Source], host: str, port: int, called: str = "EDGETRUCK",
    calling: str = "SCANNER",
) -> None:  # fmt: skip
    """Returns when the truck has answered Success to every file. Raises SendFailed."""
    by_syntax: dict[str, list[str]] = defaultdict(list)
    for source in sources:
        by_syntax[source.transfer_syntax].append(str(source.path))
    for syntax, paths in by_syntax.items():
        proposal = [_PROPOSE[uid.UID(syntax)]] if uid.UID(syntax) in _PROPOSE else []
        for start in range(0, len(paths), 200):
            _storescu([*proposal, "-aec", called, "-aet", calling, host, str(port),
                       *paths[start : start + 200]])  # fmt: skip


def _storescu(arguments: Sequence[str]) -> None:
    done = subprocess.run(
        ["storescu", "--required", *arguments], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin:/usr/local/bin", "TCP_NODELAY": "1"},
    )  # fmt: skip
    if done.returncode != 0:
        raise SendFailed(done.stderr[-2000:])
