"""Whether the parts of a stack still are the same processes, and answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import requests

from tests.support.door import answer
from tests.support.nuisance import request
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.stack import Stack

_WATCHED = ("truck-orthanc", "cloud-orthanc", "router", "door", "entrance", "cloud-proxy")
#: The first byte of an A-ASSOCIATE-AC.
ACCEPTED = bytes([2])


class Health:
    """Whether the parts of a stack still are the same processes, and answer."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._begun = {service: self._start_of(service) for service in _WATCHED}
        self.restarts = dict.fromkeys(_WATCHED, 0)

    def _start_of(self, service: str) -> str:
        (found,) = json.loads(self._stack.docker("inspect", self._stack.container(service)))
        return str(found["State"]["StartedAt"])

    def look(self) -> int:
        """How many of them were started again since the last look; waits until all answer."""
        again = 0
        for service in _WATCHED:
            begun = self._start_of(service)
            if begun != self._begun[service]:
                self._begun[service] = begun
                self.restarts[service] += 1
                again += 1
        until(self._answers, 120, what="the answers of all parts", pause_s=0.5)
        return again

    def _answers(self) -> bool:
        try:
            router = f"http://127.0.0.1:{self._stack.port('router', 8080)}/health/live"
            cloud = f"https://127.0.0.1:{self._stack.port('cloud-proxy', 8443)}/health"
            ca = str(self._stack.secrets / "cloud" / "ca.pem")
            return (
                requests.get(router, timeout=10).ok
                and requests.get(cloud, verify=ca, timeout=10).ok
                and answer(self._stack.port("door", 4242), request())[:1] == ACCEPTED
            )
        except (OSError, requests.RequestException):
            return False
