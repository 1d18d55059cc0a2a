"""The child: reads tasks from stdin, one JSON object a line, and answers each with one line.

It ends when stdin does, so it cannot outlive its router.
"""

from __future__ import annotations

import json
import mmap
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from router.dicom import lossless, part10
from router.imaging import analysis, content_identity, pixels, quality, secondary_capture
from router.imaging.pixels import opening
from router.records.errors import AnalysisSkipped, Code, Hold

if TYPE_CHECKING:
    from typing import BinaryIO


def _capture(task: dict[str, Any]) -> dict[str, Any]:
    with Path(task["source"]).open("rb") as stream:
        source = part10.read(stream)
        frame = pixels.to_frame(source, stream)
        finding = analysis.ANALYSES[task["analysis"]].run(frame)
        # By the shipped limits, not by what the truck has learned: the same bytes at any time.
        raised = quality.quality_flags(
            quality.acquisition(source).modality, quality.features(frame)
        )
        flags = [quality.LOOK[one.flag] for one in raised]
        rgb = secondary_capture.picture(frame, finding, flags)
        uids = secondary_capture.CaptureUids(series=task["series_uid"], sop=task["sop_uid"])
        Path(task["target"]).write_bytes(
            secondary_capture.secondary_capture(source, rgb, finding, uids)
        )
    return {}


def _look(task: dict[str, Any]) -> dict[str, Any]:
    """``opened``: whether the decoders here open the pixels; ``None``: the pixels are not all there."""
    with Path(task["source"]).open("rb") as stream:
        source = part10.read(stream)
        said: dict[str, Any] = {"acquisition": asdict(quality.acquisition(source)), "features": {}}
        try:
            said["opened"] = None
            said["opened"] = opening.check(source, stream, _mapped(stream)).here
            frame = pixels.to_frame(source, stream, for_processing=True)
        except AnalysisSkipped as skipped:
            return said | {"left_out": skipped.code}
        return said | {"features": quality.features(frame) | analysis.figures(frame)}


def _open(task: dict[str, Any]) -> dict[str, Any]:
    with Path(task["source"]).open("rb") as stream:
        return asdict(opening.check(part10.read(stream), stream, _mapped(stream)))


def _content(task: dict[str, Any]) -> dict[str, Any]:
    with Path(task["source"]).open("rb") as stream:
        return {"content": content_identity.digest(part10.read(stream), stream, _mapped(stream))}


def _mapped(stream: BinaryIO) -> memoryview:
    return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _compare(task: dict[str, Any]) -> dict[str, Any]:
    return {"same": lossless.same_pixels(Path(task["original"]), Path(task["copy"]))}


_ACTIONS = {
    "capture": _capture,
    "look": _look,
    "open": _open,
    "content": _content,
    "compare": _compare,
}


def _answer(task: dict[str, Any]) -> dict[str, Any]:
    try:
        return _ACTIONS[task["action"]](task)
    except AnalysisSkipped as skipped:
        return {"code": skipped.code, "detail": skipped.sentence}
    except Hold as hold:
        return {"code": Code.PIXELS_UNDECODABLE, "detail": hold.code}
    except MemoryError:
        return {"code": Code.ANALYSIS_FAILED, "detail": "it needs more memory than it may have"}
    # The boundary of the process: whatever went wrong, this image goes without a capture and the
    # router hears of it. Only the type: texts of third parties can hold values of attributes.
    except Exception as error:  # noqa: BLE001
        return {"code": Code.ANALYSIS_FAILED, "detail": type(error).__name__}


def main() -> None:
    """Answers tasks from standard input until it ends, within the memory it is told."""
    limit = int(sys.argv[1]) * 1024 * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
