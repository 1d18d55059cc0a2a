"""The door and the doorbell: guards the truck's Orthanc and wakes the router.

It keeps no state and knows nothing of the router's journal. Without the router it goes on taking
images; without it the router still finds every image by polling.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orthanc

# Orthanc runs this file by its path and does not put its folder on the import path.
sys.path.insert(0, str(Path(__file__).parent))

import rules

#: A waiting client holds one of Orthanc's HTTP threads, so it may not wait for ever.
LONGEST_WAIT_S = 60.0

_SILENT = frozenset({orthanc.ChangeType.UPDATED_METADATA, orthanc.ChangeType.UPDATED_ATTACHMENT})

_METHODS = {
    orthanc.HttpMethod.GET: "GET",
    orthanc.HttpMethod.POST: "POST",
    orthanc.HttpMethod.PUT: "PUT",
    orthanc.HttpMethod.DELETE: "DELETE",
}


class Doorbell:
    """Counts changes since the plugin was loaded, and lets HTTP clients wait for the next one."""

    def __init__(self) -> None:
        self._rings = 0
        self._closed = False
        self._changed = threading.Condition()
        #: A router that remembers a count of an earlier start must not wait for it.
        self.boot = f"{os.getpid()}-{time.time_ns()}"

    def ring(self) -> None:
        with self._changed:
            self._rings += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Lets every waiting client go, so that Orthanc can stop at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, boot: str, since: int, timeout_s: float) -> int:
        """The count, as soon as it differs from ``since`` or the time is over."""
        with self._changed:
            if boot == self.boot:
                self._changed.wait_for(lambda: self._closed or self._rings != since, timeout_s)
            return self._rings


_bell = Doorbell()


def _index_files() -> list[Path]:
    """The files of Orthanc's SQLite index; empty with another index (PostgreSQL)."""
    configuration = json.loads(orthanc.GetConfiguration())
    folder = Path(configuration.get("IndexDirectory") or configuration.get("StorageDirectory", ""))
    return [folder / "index-wal", folder / "index"]


_INDEX_FILES = _index_files()


def on_change(change: int, _level: int, _resource: str) -> None:
    if change == orthanc.ChangeType.ORTHANC_STOPPED:
        _bell.close()
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


def on_request(uri: str, **request: Any) -> bool:
    # A filter is handed the method as a number; one that Orthanc adds later is taken as writing.
    method = _METHODS.get(request["method"], "UNKNOWN")
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


orthanc.RegisterOnChangeCallback(on_change)
orthanc.RegisterOnStoredInstanceCallback(on_stored)
orthanc.RegisterIncomingHttpRequestFilter(on_request)
orthanc.RegisterRestCallback("/edge-router/wait", on_wait)
