"""The analysis in a process of its own: a decoder that crashes, loops or eats memory takes down
only that process, and only one image goes without a capture.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from router.errors import AnalysisSkipped, Code

if TYPE_CHECKING:
    from pathlib import Path

_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Comparison:
    """Two files whose pixels must be the same: what the scanner sent, and its compressed copy."""

    original: Path
    copy: Path


@dataclass(frozen=True)
class Task:
    """One image to analyse. The files are in the spool folder; the source is the anonymized copy."""

    source: Path
    target: Path
    series_uid: str
    sop_uid: str


class Analyser:
    """Keeps one child at work; not thread-safe (the one local loop uses it)."""

    def __init__(self, timeout_s: float, memory_mib: int) -> None:
        self._timeout_s = timeout_s
        self._memory_mib = memory_mib
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, task: Task) -> None:
        """Writes the capture to ``task.target``. Raises AnalysisSkipped."""
        self._ask(task)

    def same_pixels(self, comparison: Comparison) -> bool:
        """Whether both files have the same pixels. Raises AnalysisSkipped: it cannot be said."""
        return bool(self._ask(comparison)["same"])

    def _ask(self, task: Task | Comparison) -> dict[str, Any]:
        child = self._started()
        request = {name: str(value) for name, value in asdict(task).items()}
        assert child.stdin is not None  # noqa: S101  (opened as a pipe below)
        assert child.stdout is not None  # noqa: S101
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            self.close()
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, "the analysis had died") from None
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            if not selector.select(self._timeout_s):
                self.close()
                raise AnalysisSkipped(
                    Code.ANALYSIS_TIMEOUT, f"it took longer than {self._timeout_s:.0f} s"
                )
        answer = child.stdout.readline()
        if not answer.endswith(b"\n"):
            self.close()
            raise AnalysisSkipped(Code.ANALYSIS_CRASHED, "the analysis died")
        said: dict[str, Any] = json.loads(answer)
        if "code" in said:
            raise AnalysisSkipped(Code(said["code"]), said["detail"])
        return said

    def close(self) -> None:
        """Ends the child; the next task starts a new one."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            self._child = None

    def _started(self) -> subprocess.Popen[bytes]:
        if self._child is not None and self._child.poll() is not None:
            self.close()
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "router.analyser", str(self._memory_mib)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _ONE_THREAD,
            )
        return self._child
