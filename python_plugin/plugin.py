"""The door and the doorbell: guards the truck's Orthanc and wakes the router.

It knows nothing of the router's journal, and keeps nothing that could be lost: only, until the
router fetches them, the digests of what the scanner sent, and files that Orthanc drops because
it has their UID. Without the router it goes on taking images; without it the router still finds
every image by polling.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import secrets
import shutil
import sqlite3
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orthanc

# Orthanc runs this file by its path and does not put its folder on the import path.
sys.path.insert(0, str(Path(__file__).parent))

import doorbell
import identifiers
import orphans
import received
import repeated
import rules

#: A waiting client holds one of Orthanc's HTTP threads, so it may not wait for ever.
LONGEST_WAIT_S = 60.0
#: A router that has died does not keep the door shut.
LONGEST_CLOSED_S = 300.0
#: Orthanc may be at other things.
_IMPORT_S = 60.0
#: Explicit VR Little Endian.
_PLAIN_SYNTAX = "1.2.840.10008.1.2.1"

_SILENT = frozenset({orthanc.ChangeType.UPDATED_METADATA, orthanc.ChangeType.UPDATED_ATTACHMENT})

_METHODS = {
    orthanc.HttpMethod.GET: "GET",
    orthanc.HttpMethod.POST: "POST",
    orthanc.HttpMethod.PUT: "PUT",
    orthanc.HttpMethod.DELETE: "DELETE",
}


_bell = doorbell.Doorbell()
_CONFIGURATION = json.loads(orthanc.GetConfiguration())
_STORAGE = Path(_CONFIGURATION.get("StorageDirectory", ""))
_INDEX = Path(_CONFIGURATION.get("IndexDirectory") or _STORAGE) / "index"
#: The files of Orthanc's SQLite index; with another index (PostgreSQL) there are none.
_INDEX_FILES = [_INDEX.with_name("index-wal"), _INDEX]

_received = received.Received(_STORAGE / "edge-received.txt")
_repeated = repeated.Repeated(_STORAGE / "edge-repeated")


_door = doorbell.Door()


def on_change(change: int, _level: int, _resource: str) -> None:
    """Rings for each change but those that tell nothing new."""
    if change == orthanc.ChangeType.ORTHANC_STOPPED:
        _bell.close()
    elif change == orthanc.ChangeType.ORTHANC_STARTED:
        threading.Thread(target=import_orphans, daemon=True).start()
    elif change not in _SILENT:
        _bell.ring()


def on_stored(_dicom: Any, _instance: str) -> None:
    """Makes "Success" survive a power cut: Orthanc itself flushes its index every ten seconds.

    No call of Orthanc's API in here: together with an anonymization it would deadlock.
    """
    for path in _INDEX_FILES:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:  # no WAL right after a checkpoint
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


#: Threads whose image cannot be filed. Not `threading.local`: Orthanc makes a new state of Python
#: for each callback, which a thread's own variables do not survive.
_unfit: set[int] = set()


def on_c_store(_dicom: Any) -> int:
    """The status of a C-STORE: 0 to take the image."""
    if threading.get_ident() in _unfit:
        orthanc.LogWarning("edge-router: an image without usable identifiers is refused (C000)")
        return rules.CANNOT_UNDERSTAND
    return rules.OUT_OF_RESOURCES if _door.is_closed else 0


def on_received_instance(file: bytes, origin: int) -> tuple[int, bytes | None]:
    """Notes what the scanner sent, before Orthanc looks whether it has that UID already.

    No call of Orthanc's API in here either. The same thread then asks for the status.
    """
    _unfit.discard(threading.get_ident())
    if origin == orthanc.InstanceOrigin.DICOM_PROTOCOL:
        if not identifiers.can_be_filed(file):
            # Orthanc would answer "out of resources", and log the identifiers, before it asks for
            # the status. So it gets to see one that it could file, and is then told not to.
            _unfit.add(threading.get_ident())
            return orthanc.ReceivedInstanceAction.MODIFY, identifiers.STAND_IN
        line = received.line_of(file)
        if line is not None:
            uid, digest = line.split()
            # First the file, then the word for it. A full disk: Orthanc says so itself.
            with contextlib.suppress(OSError, sqlite3.Error):
                _repeated.note(uid, digest, file, time.time())
            with contextlib.suppress(OSError):
                _received.note(line)
    return orthanc.ReceivedInstanceAction.KEEP_AS_IS, None


def _orphans() -> list[Path]:
    """What a power cut left in the storage without a row in the index."""
    try:
        return orphans.find(_STORAGE, _INDEX)
    except (sqlite3.Error, OSError) as error:
        orthanc.LogWarning(f"edge-router: no look for orphan files ({type(error).__name__})")
        return []


#: Looked for now: Orthanc opens its index when its plugins are loaded, and locks it.
_ORPHANS = _orphans()
#: Known to this process alone: what it stores itself is let in.
_TOKEN = secrets.token_hex(32)


def import_orphans() -> None:
    """Takes them up, once Orthanc runs. Without an index of SQLite nothing is an orphan.

    Over HTTP, as anybody: a call of Orthanc's API keeps Python's lock while it waits for Orthanc's,
    and an image that is stored at the same time keeps that one while its callback waits for
    Python's. Both stood still for ever, as often as it was tried. The user is not the router's,
    whose images are copies.
    """
    if not _ORPHANS or not _INDEX.exists():
        return
    password = _CONFIGURATION["RegisteredUsers"].get(rules.HEALTH_USER, "")
    known = base64.b64encode(f"{rules.HEALTH_USER}:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {known}", rules.ORPHAN_HEADER: _TOKEN}
    for path in _ORPHANS:
        try:
            _take_up(path, headers)
        except (http.client.HTTPException, OSError) as error:
            orthanc.LogWarning(f"edge-router: an orphan file stays ({type(error).__name__})")
    orthanc.LogWarning(f"edge-router: {len(_ORPHANS)} orphan files were found")


def _take_up(path: Path, headers: dict[str, str]) -> None:
    port = int(_CONFIGURATION.get("HttpPort", 8042))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_IMPORT_S)
    with contextlib.closing(connection):
        connection.request("POST", "/instances", path.read_bytes(), headers)
        status = connection.getresponse().status
    if status != http.HTTPStatus.OK:
        orthanc.LogWarning(f"edge-router: an orphan file stays (answered {status})")
        return
    path.unlink()


def on_request(uri: str, **request: Any) -> bool:
    """Whether Orthanc answers an HTTP request: by ``rules``."""
    # A filter is handed the method as a number; one that Orthanc adds later is taken as writing.
    method = _METHODS.get(request["method"], "UNKNOWN")
    if rules.is_import(method, uri, request["headers"], _TOKEN):
        return True
    return rules.allowed(method, uri, request["headers"])


def on_wait(output: Any, _uri: str, **request: Any) -> None:
    """``GET /edge-router/wait?boot=B&since=N&timeout=S``: the count of changes since the start."""
    if request["method"] != "GET":
        output.SendMethodNotAllowed("GET")
        return
    asked = request.get("get") or {}
    try:
        since = int(asked.get("since", "-1"))
        timeout_s = min(max(float(asked.get("timeout", "0")), 0.0), LONGEST_WAIT_S)
    except ValueError:
        output.SendHttpStatusCode(400)
        return
    rings = _bell.wait(asked.get("boot", ""), since, timeout_s)
    output.AnswerBuffer(json.dumps({"boot": _bell.boot, "rings": rings}), "application/json")


def on_space(output: Any, _uri: str, **request: Any) -> None:
    """``GET /edge-router/space``: bytes of the disk that the images lie on."""
    if request["method"] != "GET":
        output.SendMethodNotAllowed("GET")
        return
    disk = shutil.disk_usage(_STORAGE)
    output.AnswerBuffer(json.dumps({"total": disk.total, "free": disk.free}), "application/json")


def on_door(output: Any, _uri: str, **request: Any) -> None:
    """``POST /edge-router/door`` with S as body: refuse images for S seconds; 0: take them again."""
    if request["method"] != "POST":
        output.SendMethodNotAllowed("POST")
        return
    try:
        seconds = float(request["body"])
    except ValueError:
        output.SendHttpStatusCode(400)
        return
    _door.close(min(max(seconds, 0.0), LONGEST_CLOSED_S))
    output.AnswerBuffer("{}", "application/json")


def on_received(output: Any, _uri: str, **request: Any) -> None:
    """``GET /edge-router/received``: the lines; ``POST`` with N as body: N characters are noted."""
    if request["method"] == "POST":
        until = request["body"]
        if not until.isdigit():
            output.SendHttpStatusCode(400)
            return
        _received.forget(int(until))
        output.AnswerBuffer("{}", "application/json")
    elif request["method"] == "GET":
        output.AnswerBuffer(_received.lines(), "text/plain")
    else:
        output.SendMethodNotAllowed("GET,POST")


def _decoded(file: bytes) -> bytes:
    """The file with its pixels decoded; as it is where Orthanc cannot, as its own REST API does.

    Python's lock is kept meanwhile: nothing else of the plugin runs. Nothing that decodes waits for it.
    """
    try:
        return orthanc.TranscodeDicomInstance(file, _PLAIN_SYNTAX).SerializeDicomInstance()
    except orthanc.OrthancException:
        return file


def on_repeated(output: Any, _uri: str, **request: Any) -> None:
    """``GET /edge-router/repeated/D``: the file whose data set has the digest D; ``POST``: forget it.

    ``?decoded``: with its pixels decoded, Explicit VR Little Endian.
    """
    (digest,) = request["groups"]
    if request["method"] == "POST":
        _repeated.forget(digest)
        output.AnswerBuffer("{}", "application/json")
    elif request["method"] == "GET":
        file = _repeated.file(digest)
        if file is None:
            output.SendHttpStatusCode(404)
        else:
            wanted = _decoded(file) if "decoded" in (request.get("get") or {}) else file
            output.AnswerBuffer(wanted, "application/dicom")
    else:
        output.SendMethodNotAllowed("GET,POST")


orthanc.RegisterOnChangeCallback(on_change)
orthanc.RegisterIncomingCStoreInstanceFilter(on_c_store)
orthanc.RegisterReceivedInstanceCallback(on_received_instance)
orthanc.RegisterOnStoredInstanceCallback(on_stored)
orthanc.RegisterIncomingHttpRequestFilter(on_request)
orthanc.RegisterRestCallback("/edge-router/wait", on_wait)
orthanc.RegisterRestCallback("/edge-router/space", on_space)
orthanc.RegisterRestCallback("/edge-router/door", on_door)
orthanc.RegisterRestCallback("/edge-router/received", on_received)
orthanc.RegisterRestCallback("/edge-router/repeated/([0-9a-f]{64})", on_repeated)
