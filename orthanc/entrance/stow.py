"""The body guard of STOW-RS: each file is read while it passes, and only sound ones get to the archive.

A file's last bytes are passed on only after all of it was read, so the archive never holds a whole
file that was refused. Small files are kept until then, and a refused one is left out; a large one is
passed on as it comes, and the archive's request is cut where it turns out to be unsound.
"""

from __future__ import annotations

import json
import logging
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from entrance import digests
from entrance.archive import Answer, ArchiveDownError
from entrance.decide import LARGEST_BODY
from entrance.elements import Fault, RefusedFileError
from entrance.multipart import BadBodyError, Edge, Parts, boundary_of
from entrance.part10 import Reading

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from entrance.archive import Exchange, Upstream
    from entrance.metrics import Metrics
    from entrance.state import State

#: So much of one file is kept until it has been read, and so much of all files together.
KEPT_BYTES = 1024 * 1024
KEPT_TOGETHER_BYTES = 12 * 1024 * 1024
#: Of files in one request: the router sends at most 32.
MOST_FILES = 1000

#: Failure reasons (PS3.18, table I.2-2): both are of the class "data set does not match", which is
#: final for the file.
OF_ANOTHER_TRUCK = 0xA901
JSON = "application/dicom+json"
_FAILED, _STORED = "00081198", "00081199"
_CLASS, _SOP, _REASON = "00081150", "00081155", "00081197"

_log = logging.getLogger("entrance")


@dataclass
class _File:
    """One file of a request."""

    reading: Reading = field(default_factory=Reading)
    #: In the pieces in which it came: to put them together costs more than all else here.
    kept: list[bytes] = field(default_factory=list)
    kept_bytes: int = 0
    #: Its beginning has been passed on.
    passed: bool = False
    #: Why it is left out.
    reason: int | None = None


class _CutError(Exception):
    """A file of which a part was passed on is unsound: the archive must not see its end."""


class Guard:
    """Passes on what trucks store."""

    def __init__(
        self, archive: Upstream, asking: Upstream, state: State, metrics: Metrics,
        now: Callable[[], float],
    ) -> None:  # fmt: skip
        self.archive = archive
        self.asking = asking
        self.state = state
        self.metrics = metrics
        self.now = now
        #: Bytes of files that are kept at the moment.
        self.kept = 0

    async def claim(self, study: str, truck: str) -> bool:
        """Whether the study is this truck's, as which a new one is written down.

        One that the archive has and nobody is written down for was stored before there was an
        entrance: it is the adopting truck's. Raises ArchiveDownError.
        """
        state = self.state
        if state.owner(study) is None and truck != state.adopting:
            known = await digests.is_there(study, self.asking)
            # Asked again: another request of the truck may have begun the study meanwhile.
            if known and state.owner(study) is None:
                return False
        return state.claim(study, truck, self.now())

    async def store(
        self, truck: str, study: str, content_type: str, body: AsyncIterator[bytes]
    ) -> Answer:
        """The Store Instances Response for a body.

        ``study``: the study of the request's address, or empty. Raises ArchiveDownError.
        """
        try:
            parts = Parts(boundary_of(content_type))
        except BadBodyError:
            return Answer(415, "text/plain", b"not multipart/related of application/dicom\n")
        request = _Request(self, truck, study)
        try:
            return await request.run(parts, body)
        finally:
            await request.end()


class _Request:
    """One body on its way."""

    def __init__(self, guard: Guard, truck: str, study: str) -> None:
        self._guard = guard
        self._truck = truck
        self._study = study
        self._failed: list[dict[str, Any]] = []
        self._file = _File()
        self._owned: set[str] = set()
        self._files = self._bytes = 0
        # The archive's own parser finds nothing else than this between two files.
        self._boundary = secrets.token_hex(24).encode()
        self._context: AbstractAsyncContextManager[Exchange] | None = None
        self._exchange: Exchange | None = None

    async def run(self, parts: Parts, body: AsyncIterator[bytes]) -> Answer:
        try:
            async for piece in body:
                self._bytes += len(piece)
                if self._bytes > LARGEST_BODY:
                    return Answer(413, "text/plain", b"the body is too large\n")
                for given in parts.feed(piece):
                    await self._take(given)
            parts.close()
        except BadBodyError:
            return Answer(400, "text/plain", b"the body is no multipart of DICOM files\n")
        except _CutError:
            # Whoever still sends does not hear an answer before the end.
            await self.end()
            await self._drain(body)
            return self._answer(None)
        if not self._files:
            return Answer(400, "text/plain", b"there is no file in the body\n")
        if self._exchange is None:
            return self._answer(None)
        await self._exchange.write(b"\r\n--%b--\r\n" % self._boundary)
        return self._answer(await self._exchange.answer())

    async def end(self) -> None:
        """Cuts what is still open, and forgets what is kept."""
        self._forget()
        if self._context is not None:
            context, self._context, self._exchange = self._context, None, None
            await context.__aexit__(None, None, None)

    async def _drain(self, body: AsyncIterator[bytes]) -> None:
        async for piece in body:
            self._bytes += len(piece)
            if self._bytes > LARGEST_BODY:
                return

    async def _take(self, given: bytes | Edge) -> None:
        if given is Edge.BEGIN:
            self._files += 1
            if self._files > MOST_FILES:
                raise BadBodyError
            self._file = _File()
        elif given is Edge.END:
            await self._ended()
        elif self._file.reason is None and isinstance(given, bytes):
            await self._more(given)

    async def _more(self, piece: bytes) -> None:
        file = self._file
        try:
            file.reading.feed(piece)
        except RefusedFileError as refused:
            self._refuse(refused.fault, refused.reason)
            return
        if file.passed and self._exchange is not None:
            await self._exchange.write(piece)
            return
        file.kept.append(piece)
        file.kept_bytes += len(piece)
        self._guard.kept += len(piece)
        full = self._guard.kept > KEPT_TOGETHER_BYTES and file.reading.is_known
        if (file.kept_bytes > KEPT_BYTES or full) and await self._may_store():
            await self._pass_on()

    async def _ended(self) -> None:
        file = self._file
        if file.reason is not None:
            return
        try:
            file.reading.close()
        except RefusedFileError as refused:
            self._refuse(refused.fault, refused.reason)
            return
        if not file.passed and await self._may_store():
            await self._pass_on()

    async def _may_store(self) -> bool:
        """Whether the file is of this truck and of the request's study; else it is left out."""
        reading = self._file.reading
        if not reading.is_known:
            self._refuse(Fault.UNSOUND, "its UIDs come too late")
            return False
        study = reading.study_uid or ""
        if self._study not in {"", study}:
            self._refuse(Fault.UNSOUND, "of another study than the request")
            return False
        # A study stays the truck's whose it is: asked once a request.
        if study not in self._owned:
            if not await self._guard.claim(study, self._truck):
                self._leave_out(OF_ANOTHER_TRUCK, "the study is another truck's")
                return False
            self._owned.add(study)
        return True

    async def _pass_on(self) -> None:
        """What is kept of the file, and from now on all of it."""
        file = self._file
        if self._exchange is None:
            target = "/dicom-web/studies" + (f"/{self._study}" if self._study else "")
            boundary = self._boundary.decode()
            kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
            self._context = self._guard.archive.request(
                "POST", target, {"Content-Type": kind, "Accept": JSON}
            )
            self._exchange = await self._context.__aenter__()
        head = b"\r\n--%b\r\nContent-Type: application/dicom\r\n\r\n" % self._boundary
        await self._exchange.write(head, *file.kept)
        file.passed = True
        self._forget()

    def _forget(self) -> None:
        self._guard.kept -= self._file.kept_bytes
        self._file.kept, self._file.kept_bytes = [], 0

    def _refuse(self, fault: Fault, reason: str) -> None:
        self._leave_out(fault.value, reason)

    def _leave_out(self, code: int, reason: str) -> None:
        """Raises _CutError where a part of it was passed on."""
        file = self._file
        file.reason = code
        self._forget()
        failed: dict[str, Any] = {_REASON: {"vr": "US", "Value": [code]}}
        for tag, value in ((_CLASS, file.reading.sop_class), (_SOP, file.reading.sop_uid)):
            if value:
                failed[tag] = {"vr": "UI", "Value": [value]}
        self._failed.append(failed)
        self._guard.metrics.refused_files.labels(self._truck, f"{code:04X}").inc()
        _log.warning(
            "a file was refused",
            extra={
                "action": "store",
                "truck": self._truck,
                "code": f"{code:04X}",
                "reason": reason,
            },
        )
        if file.passed:
            raise _CutError

    def _answer(self, answer: Answer | None) -> Answer:
        """The archive's answer, with what was left out."""
        if answer is not None and not self._failed:
            return answer
        said: Any = {}
        if answer is not None:
            try:
                said = json.loads(answer.body)
            except ValueError as error:
                raise ArchiveDownError from error
        if not isinstance(said, dict):
            raise ArchiveDownError
        failed = said.setdefault(_FAILED, {"vr": "SQ"})
        failed["Value"] = [*(failed.get("Value") or []), *self._failed]
        stored = (said.get(_STORED) or {}).get("Value")
        # Accepted in part, or a conflict (PS3.18, table 10.5.3-1).
        return Answer(202 if stored else 409, JSON, json.dumps(said).encode())
