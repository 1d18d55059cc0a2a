"""Golden images: analysed again every week, with results that must not move.

The analysis is a function of its image and its version. Another result means another library,
a processor or a memory that cannot be trusted: nothing that it says of patients' images can then.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.imaging.analysis import ANALYSES
from router.imaging.worker_process import Analyser, Task
from router.pipeline.one_item import one_item
from router.records.errors import AnalysisSkipped, Code, EdgeRouterError, OperatorError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from router.imaging.analysis import Analysis
    from router.observe.metrics import Metrics
    from router.truck.spool import Spool

#: Beside the images: algorithm and version → digest of the image → digest of its capture.
RESULTS = "golden.json"
_WEEK_S = 7 * 86_400.0
#: Captures of golden images go nowhere; their UIDs are always these.
_SERIES_UID, _SOP_UID = "2.25.1", "2.25.2"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checked:
    """Names of the golden images by what became of them."""

    same: tuple[str, ...]
    moved: tuple[str, ...]
    new: tuple[str, ...]  #: without a result of this algorithm and version; accepted now
    failed: tuple[str, ...] = ()  #: could not be read or analysed: nothing is said of them


class WeeklyCheck:
    """Analyses the golden images at the start and every week. One thread uses it."""

    def __init__(self, folder: Path, analyser: Analyser, spool: Spool, metrics: Metrics) -> None:
        self._folder = folder
        self._analyser = analyser
        self._spool = spool
        self._metrics = metrics

    def work(self) -> float:
        """Analyses all of them and tells what has moved; the seconds until the next time.

        Raises OperatorError (FILE_UNREADABLE).
        """
        work = self._spool.path(".golden")
        for label, found in check_all(self._folder, self._analyser, work).items():
            self._metrics.golden_moved.labels(label).set(len(found.moved))
            if found.moved:
                _log.error(
                    "the analysis %s gives other results than before",
                    label,
                    extra={"action": "golden", "count": len(found.moved)},
                )
            if found.failed:
                _log.error(
                    "golden images could not be analysed by %s",
                    label,
                    extra={"action": "golden", "count": len(found.failed)},
                )
        return _WEEK_S


def check_all(folder: Path, analyser: Analyser, work: Path) -> dict[str, Checked]:
    """What ``check`` finds, by the label of each analysis. Raises OperatorError (FILE_UNREADABLE)."""
    return {one.label: check(folder, analyser, work, one) for one in ANALYSES.values()}


def check(folder: Path, analyser: Analyser, work: Path, analysis: Analysis) -> Checked:
    """Analyses every image of the folder; ``work`` is a file that may be overwritten.

    A result that is not known yet is written down; a known one is never replaced: remove it from
    the file to accept another. Raises OperatorError (FILE_UNREADABLE).
    """
    path = folder / RESULTS
    try:
        images = sorted(p for p in folder.iterdir() if p.is_file() and p.name != RESULTS)
        known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError):
        raise OperatorError(
            Code.FILE_UNREADABLE, f"The golden images in {folder} cannot be read."
        ) from None
    results: dict[str, str] = known.setdefault(analysis.label, {})
    found: dict[str, list[str]] = {"same": [], "moved": [], "new": [], "failed": []}
    for image in images:
        try:
            with one_item("golden", passing=(OSError,)):
                digest = hashlib.sha256(image.read_bytes()).hexdigest()
                result = _result(image, analyser, work, analysis)
        except (EdgeRouterError, OSError):
            found["failed"].append(image.name)
            continue
        kind = "new" if digest not in results else "same"
        if results.setdefault(digest, result) != result:
            kind = "moved"
        found[kind].append(image.name)
    if found["new"]:
        _write(path, known)
    return Checked(*(tuple(found[kind]) for kind in ("same", "moved", "new", "failed")))


def _result(image: Path, analyser: Analyser, work: Path, analysis: Analysis) -> str:
    try:
        analyser.run(Task(analysis.name, image, work, _SERIES_UID, _SOP_UID))
        return hashlib.sha256(work.read_bytes()).hexdigest()
    except AnalysisSkipped as skipped:
        return str(skipped.code)  # that it is left out is a result too
    finally:
        work.unlink(missing_ok=True)


def _write(path: Path, known: Mapping[str, Mapping[str, str]]) -> None:
    fresh = path.with_suffix(".fresh")
    try:
        fresh.write_text(json.dumps(known, indent=1, sort_keys=True), encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNREADABLE, f"{path} cannot be written ({error.strerror})."
        ) from None
