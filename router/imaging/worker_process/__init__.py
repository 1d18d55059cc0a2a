"""The analysis in a process of its own: a decoder that crashes, loops or eats memory takes down
only that process, and only one image goes without a capture or without a look.

Captures are made of anonymized copies. A look is taken at the original, because it must come
before anything is anonymized; the child answers with figures, codes and words of the equipment.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from router.dicom import bounds
from router.imaging import quality
from router.imaging.pixels.opening import Opened
from router.records.errors import AnalysisSkipped, Code, Hold

if TYPE_CHECKING:
    from pathlib import Path

    from router.truck.spool import Body, Spool

#: For a header that is large or unusual: seconds, and memory beyond what the child starts with.
_HEADER_S = 20.0
_HEADER_MIB = 256

#: The child's program.
WORKER = "router.imaging.worker_process"

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Comparison:
    """Two files whose pixels must be the same: what the scanner sent, and its compressed copy."""

    original: Path
    copy: Path


@dataclass(frozen=True)
class Task:
    """One image to analyse. The files are in the spool folder; the source is the anonymized copy."""

    #: The name of the analysis.
    analysis: str
    source: Path
    target: Path
    series_uid: str
    sop_uid: str


@dataclass(frozen=True)
class Look:
    """What was seen of an original."""

    acquisition: quality.Acquisition
    #: Figures of the pixels; empty where they are not looked at.
    features: dict[str, float]
    #: Why they are not; ``None``: they are.
    code: Code | None
    #: Whether the decoders here open its pixels; False: Orthanc has to be asked; ``None``: they
    #: are not all there.
    opened: bool | None = True


class _Child:
    """A process that answers one request at a time. Thread-safe."""

    def __init__(self, module: str, timeout_s: float, memory_mib: int) -> None:
        """``module``: what it runs; ``memory_mib``: what it is told that it may take."""
        self._module = module
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._child: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, request: dict[str, str]) -> dict[str, Any]:
        """The answer of the child. Raises AnalysisSkipped where it has none to give."""
        with self._lock:
            return self._answer_to(request)

    def _answer_to(self, request: dict[str, str]) -> dict[str, Any]:
        child = self._started()
        assert child.stdin is not None  # noqa: S101  (opened as a pipe below)
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            self._end()
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, "the analysis had died") from None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                self._end()
                raise AnalysisSkipped(
                    Code.ANALYSIS_TIMEOUT, f"it took longer than {self._timeout_s:.0f} s"
                )
        answer = child.stdout.readline()
        if not answer.endswith(b"\n"):
            self._end()
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, "the analysis died")
        said: dict[str, Any] = json.loads(answer)
        if "code" in said:
            raise AnalysisSkipped(Code(said["code"]), said["detail"])
        return said

    def close(self) -> None:
        """Ends the child; the next task starts a new one."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            self._child = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self._end()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", self._module, str(self._memory_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
            )
        return self._child


class Analyser:
    """Keeps one child at work. Thread-safe; one task at a time."""

    def __init__(self, timeout_s: float, memory_mib: int, module: str | None = None) -> None:
        """``module``: the child's program, where it is another one than the shipped."""
        self._child = _Child(module or WORKER, timeout_s, memory_mib)

    def run(self, task: Task) -> None:
        """Writes the capture to ``task.target``. Raises AnalysisSkipped."""
        self._child.ask(
            {
                "action": "capture",
                "analysis": task.analysis,
                "source": str(task.source),
                "target": str(task.target),
                "series_uid": task.series_uid,
                "sop_uid": task.sop_uid,
            }
        )

    def same_pixels(self, comparison: Comparison) -> bool:
        """Whether both files have the same pixels. Raises AnalysisSkipped: it cannot be said."""
        request = {"original": str(comparison.original), "copy": str(comparison.copy)}
        return bool(self._child.ask({"action": "compare", **request})["same"])

    def look(self, source: Path) -> Look:
        """Looks at an original. Raises AnalysisSkipped where not even its header can be read."""
        said = self._child.ask({"action": "look", "source": str(source)})
        code = said.get("left_out")
        return Look(
            quality.Acquisition(**said["acquisition"]), said["features"],
            Code(code) if code else None, said["opened"],
        )  # fmt: skip

    def opens(self, source: Path) -> Opened:
        """Whether the decoders here open the pixels, and what they find beside the stored bits.

        Raises AnalysisSkipped (PIXELS_BROKEN_OFF) where they are not all there, and where it
        cannot be said.
        """
        return Opened(**self._child.ask({"action": "open", "source": str(source)}))

    def content(self, source: Path) -> str:
        """The identity of an image's content (``router.imaging.content_identity``), hexadecimal.

        Raises AnalysisSkipped where it cannot be said: PIXELS_UNDECODABLE where a codec is missing.
        """
        return str(self._child.ask({"action": "content", "source": str(source)})["content"])

    def close(self) -> None:
        """Ends the child; the next task starts a new one."""
        self._child.close()


class HeaderCheck:
    """Reads a header that is large or unusual where it can do no harm. Thread-safe."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._child = _Child("router.imaging.worker_process.header_check", _HEADER_S, _HEADER_MIB)

    def is_plain(self, body: Body) -> bool:
        """Whether the header is small; ``False``: large, and within bounds.

        Raises Hold (HEADER_TOO_LARGE) where reading it takes more than an image may.
        """
        if bounds.is_plain(body.view):
            return True
        with self._spool.as_file(body) as path:
            try:
                self._child.ask({"source": str(path)})
            except AnalysisSkipped as skipped:
                raise Hold(Code.HEADER_TOO_LARGE, skipped.sentence) from None
        return False

    def close(self) -> None:
        """Ends the child; the next large header starts a new one."""
        self._child.close()
