"""The pure layers are tested without the network: a unit test that opens a socket fails."""

from __future__ import annotations

import socket
from typing import NoReturn

import pytest

# Sets how pydicom reads values that break their VR, as it is set in the running router.
from router.dicom import part10  # noqa: F401  (imported for that setting)


def _refuse(*_: object, **__: object) -> NoReturn:
    pytest.fail("a unit test opened a socket")


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", _refuse)
