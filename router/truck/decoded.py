"""Pixels that the decoders here do not open, decoded by the truck's Orthanc.

Orthanc has the codecs of JPEG, and another one of JPEG-LS and RLE. What neither opens, nobody will.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from router.dicom import part10
from router.records.errors import (
    AnalysisSkipped,
    Code,
    Hold,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from router.truck.orthanc import TruckOrthanc
    from router.truck.spool import Body, Spool

Result = TypeVar("Result")


def by_orthanc(
    orthanc: TruckOrthanc, spool: Spool, instance: str, work: Callable[[Body, Path], Result]
) -> Result:
    """The result of ``work`` on the file of an instance with its pixels decoded by Orthanc.

    Raises AnalysisSkipped (PIXELS_UNDECODABLE) where it cannot decode them, what ``work`` raises,
    and OrthancError that says nothing of the image.
    """
    with _fetched(lambda: orthanc.decoded_file(instance)) as body, spool.as_file(body) as path:
        return work(body, path)


def repeated_by_orthanc(
    orthanc: TruckOrthanc, spool: Spool, digest: str, work: Callable[[Body, Path], Result]
) -> Result:
    """As ``by_orthanc``, of a file that came under the UID of an earlier one; it is not stored.

    By the same codecs: what was lost in a codestream is lost alike, wherever the codestream lies.
    """

    def fetch() -> Body:
        body = orthanc.repeated_file(digest, decoded=True)
        if body is None:
            raise _undecodable()
        return body

    with _fetched(fetch) as body, spool.as_file(body) as path:
        return work(body, path)


def _fetched(fetch: Callable[[], Body]) -> Body:
    try:
        body = fetch()
    except (OrthancUnreachable, OrthancDenied, OrthancFull, ResourceMissing):
        raise
    except OrthancError:
        raise _undecodable() from None
    try:
        syntax = part10.read(body.stream()).file_meta.get("TransferSyntaxUID")
    except Hold:
        syntax = None
    if syntax is None or syntax.is_encapsulated:  # it answers with the file as it is
        with body:
            raise _undecodable()
    return body


def _undecodable() -> AnalysisSkipped:
    return AnalysisSkipped(Code.PIXELS_UNDECODABLE, "no decoder opens its pixels")
