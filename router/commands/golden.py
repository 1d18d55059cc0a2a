"""The golden images, analysed now."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from router.commands.terminal import ATTENTION, FINE, note, show
from router.config.settings import Settings
from router.imaging.worker_process import Analyser
from router.pipeline import regression_images
from router.records.errors import Code, OperatorError

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add


def register(add: Add) -> None:
    """Adds the command that analyses the golden images."""
    add("golden", _golden, "analyse the golden images again, and say whose result has moved")


def _golden(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    analysis = settings.analysis
    if analysis.golden is None:
        raise OperatorError(Code.FILE_UNREADABLE, "No golden images: set analysis.golden.")
    with (
        tempfile.TemporaryDirectory() as name,
        closing(Analyser(analysis.timeout_s, analysis.memory_mib)) as analyser,
    ):
        by_label = regression_images.check_all(analysis.golden, analyser, Path(name) / "capture")
    lines = [
        f"{name}: {kind} by {label}"
        for label, found in by_label.items()
        for kind in ("same", "moved", "new", "failed")
        for name in getattr(found, kind)
    ]
    value = {
        "analyses": [{"algorithm": label} | asdict(found) for label, found in by_label.items()]
    }
    show(asked, value, lines or ["there are no golden images"])
    wrong = any(found.moved or found.failed for found in by_label.values())
    return ATTENTION if wrong else FINE
