"""A truck and a cloud on which a case is tried: sends files as they are, and sees what came of them."""

from __future__ import annotations

import io
import json
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydicom
import requests
from pydicom.uid import UID
from pynetdicom import _config

from tests.support import scanner
from tests.support.waiting import until
from tools.audit import content_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydicom.dataset import FileDataset
    from pynetdicom.association import Association

    from tests.support.stack import Stack

#: Answers to a C-STORE with which the truck has the image (PS3.4, B.2.3).
_LONGEST_UID = 64
_TAKEN = frozenset({"0000", "B000"})


@dataclass(frozen=True)
class Arrived:
    """A file that the cloud holds."""

    dataset: FileDataset
    file: bytes

    @property
    def is_capture(self) -> bool:
        return str(self.dataset.get("Manufacturer", "")) == "edge-router"


class Scene:
    """What a case works with. ``wrong``: what is not as it should be."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.wrong: list[str] = []
        self._cloud = stack.cloud()
        self.mark()

    def must(self, holds: object, otherwise: str) -> None:
        if not holds:
            self.wrong.append(otherwise)

    def mark(self) -> None:
        """From here on what comes is looked at."""
        self._before = self._cloud.instances()
        self._held = {row["instance"] for row in self._all_held()}
        self._studies = {study["study"]: study["images"] for study in self.studies()}

    def send(
        self, files: Sequence[bytes], calling: str = "SCANNER", called: str = "EDGETRUCK"
    ) -> list[str]:
        """The status of each C-STORE in hexadecimal; empty: refused or broken off."""
        with tempfile.TemporaryDirectory() as folder, _as_they_are():
            paths = [Path(folder) / f"{n}.dcm" for n in range(len(files))]
            for path, file in zip(paths, files, strict=True):
                path.write_bytes(file)
            return [self._store(path, calling, called) for path in paths]

    def _store(self, path: Path, calling: str, called: str) -> str:
        meta = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[]).file_meta
        entity = scanner.Entity(calling)
        entity.add_requested_context(meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID)
        port = self.stack.port("door", 4242)
        with scanner.associated(entity, port, called) as association:
            if not association.is_established or not association.accepted_contexts:
                return ""
            _cut_long_uids(association)
            answer = association.send_c_store(path)
            return f"{answer.Status:04X}" if "Status" in answer else ""

    def take(self, files: Sequence[bytes], deadline_s: float = 90) -> list[dict[str, Any]]:
        """Sends files that must be taken, and waits until all of them are at rest."""
        answers = self.send(files)
        self.must(_TAKEN.issuperset(answers), f"the truck answered {answers}")
        return self.settle(sum(answer in _TAKEN for answer in answers), deadline_s)

    def settle(self, images: int, deadline_s: float = 90) -> list[dict[str, Any]]:
        """The studies that came or grew by so many images since the mark, as soon as all rest."""

        wanted = sum(self._studies.values()) + images

        def rested() -> bool:
            studies = self.studies()
            there = sum(study["images"] for study in studies)
            return there >= wanted and all(study["at_rest"] for study in studies)

        try:
            until(rested, deadline_s, what="every study at rest", pause_s=0.3)
        except AssertionError:
            ways = [(s["state"], s["way"], s["waits_for"]) for s in self._grown()]
            self.must(False, f"not at rest after {deadline_s:.0f} s: {ways}")
        return self._grown()

    def _grown(self) -> list[dict[str, Any]]:
        return [s for s in self.studies() if s["images"] != self._studies.get(s["study"])]

    def studies(self) -> list[dict[str, Any]]:
        """What the router says of all studies. Raises AssertionError where it says nothing."""

        def asked() -> tuple[list[dict[str, Any]]] | None:
            try:
                url = f"http://127.0.0.1:{self.stack.port('router', 8080)}/status"
                answer = requests.get(url, timeout=20)
                answer.raise_for_status()
                return (answer.json()["studies"],)
            except (requests.RequestException, subprocess.CalledProcessError):
                return None

        answered = until(asked, 60, what="an answer of the router")
        assert answered is not None
        return answered[0]

    def arrived(self) -> list[Arrived]:
        """Images that came to the cloud since the mark; captures are not among them."""
        return [one for one in self.files() if not one.is_capture]

    def files(self) -> list[Arrived]:
        """Everything that came to the cloud since the mark."""
        files = [self._cloud.file(name) for name in sorted(self._cloud.instances() - self._before)]
        return [Arrived(pydicom.dcmread(io.BytesIO(file)), file) for file in files]

    def by_pixels(self) -> dict[str | None, Arrived]:
        """The images that came, by a digest of what they show."""
        return {content_of(one.dataset): one for one in self.arrived()}

    def held(self) -> list[dict[str, Any]]:
        """What is held since the mark."""
        return [row for row in self._all_held() if row["instance"] not in self._held]

    def must_not_be_held(self) -> None:
        held = [f"{row['code']} ({row['detail']})" for row in self.held()]
        self.must(not held, f"held: {held}")

    def command(self, *arguments: str) -> tuple[int, Any]:
        """Exit code and JSON of a command of the router."""
        done = subprocess.run(
            ["docker", "exec", self.stack.container("router"), "edge-router", *arguments, "--json"],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout or "null")

    def metric(self, name: str) -> float:
        """The sum of a metric of the router over its labels."""
        url = f"http://127.0.0.1:{self.stack.port('router', 8080)}/metrics"
        lines = requests.get(url, timeout=10).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if re.match(rf"{name}[{{ ]", line))

    def _all_held(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.command("held")[1]["held"]
        return rows


@contextmanager
def _as_they_are() -> Iterator[None]:
    """pynetdicom sends the bytes of a file instead of what it reads of them, whatever its UIDs."""
    before, valid = _config.STORE_SEND_CHUNKED_DATASET, _config.VALIDATORS["UI"]
    _config.STORE_SEND_CHUNKED_DATASET = True
    _config.VALIDATORS["UI"] = lambda _: (True, "")
    try:
        yield
    finally:
        _config.STORE_SEND_CHUNKED_DATASET, _config.VALIDATORS["UI"] = before, valid


def _cut_long_uids(association: Association) -> None:
    """A command carries no UID of more than 64 characters: senders cut it there, and only there."""
    send = association.dimse.send_msg

    def cut(message: Any, context: int) -> None:
        message.AffectedSOPInstanceUID = UID(message.AffectedSOPInstanceUID[:_LONGEST_UID])
        send(message, context)

    association.dimse.send_msg = cut  # type: ignore[assignment]
