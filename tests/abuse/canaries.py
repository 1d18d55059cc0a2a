"""Identifiers that are nowhere else in the world, and everything that a container writes."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stack import Stack

#: Every planted identifier holds it, in whatever attribute it stands.
MARK = "QZXCANARY"
#: The two stores: what the scanner sent and the journal, the copies in the cloud. What lies there
#: is asked of the cloud itself, image by image, by other tests.
STORES = ("/var/lib/orthanc-data", "/var/lib/edge-router")
_ANY = re.compile(rb"q.?z.?x.?c.?a.?n.?a.?r.?y", re.IGNORECASE | re.DOTALL)
_LARGEST = 64 << 20
_DOORS_FIGURES = (
    "import urllib.request as u;print(u.urlopen('http://127.0.0.1:9104/metrics').read().decode())"
)


def person(number: int) -> dict[str, str]:
    """Identifiers of one patient."""
    return {
        "PatientID": f"{MARK}{number:06d}",
        "PatientName": f"{MARK}NAME{number:06d}^{MARK}GIVEN",
        "AccessionNumber": f"{MARK[:9]}{number:06d}",
        "ReferringPhysicianName": f"{MARK}DOC^{number:06d}",
        "PatientAddress": f"{number} {MARK} Street",
        "PatientComments": f"{MARK} comments",
    }


def found_in(text: bytes) -> list[str]:
    """Where a canary stands, with a little of what is around it."""
    return [
        text[max(0, hit.start() - 60) : hit.end() + 40].decode("utf-8", "replace")
        for hit in _ANY.finditer(text)
    ][:5]


class Watch:
    """Reads all that the containers of a stack write and show."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def outputs(self) -> Iterator[tuple[str, bytes]]:
        """Name and content of each."""
        for service in self._services():
            container = self._stack.container(service)
            yield f"log of {service}", self._log(container)
            yield f"files of {service}", self._files(container)
        yield from self._pages()

    def leaks(self) -> list[str]:
        """What names a patient: place and text. Raises where an output could not be read."""
        return [
            f"{name}: {text!r}" for name, content in self.outputs() for text in found_in(content)
        ]

    def _services(self) -> list[str]:
        listed = self._stack.docker(
            "ps", "--filter", f"label=com.docker.compose.project={self._stack.project}",
            "--format", '{{.Label "com.docker.compose.service"}}',
        )  # fmt: skip
        services = sorted(set(listed.split()))
        assert len(services) >= 5, services
        return services

    @staticmethod
    def _log(container: str) -> bytes:
        done = subprocess.run(["docker", "logs", container], capture_output=True, check=True)
        return done.stdout + done.stderr

    def _files(self, container: str) -> bytes:
        """Names and contents of what the container may write: its volumes and /tmp, as root."""
        (inspected,) = json.loads(self._stack.docker("inspect", container))
        places = [m["Destination"] for m in inspected["Mounts"] if m["RW"]] + ["/tmp", "/dev/shm"]  # noqa: S108
        wanted = [place for place in places if not place.startswith(STORES)]
        script = (
            'for p in "$@"; do find "$p" -xdev -print 2>/dev/null; '
            f'find "$p" -xdev -type f -size -{_LARGEST}c -exec cat {{}} + 2>/dev/null; done; true'
        )
        done = subprocess.run(
            ["docker", "exec", "--user", "0", container, "sh", "-c", script, "sh", *wanted],
            capture_output=True, check=False,
        )  # fmt: skip
        # Names alone of the stores: a file name is shown by backups and by tools.
        names = subprocess.run(
            ["docker", "exec", "--user", "0", container, "sh", "-c",
             f"find {' '.join(STORES)} -xdev 2>/dev/null; env; true"],
            capture_output=True, check=False,
        )  # fmt: skip
        return done.stdout + names.stdout

    def _pages(self) -> Iterator[tuple[str, bytes]]:
        """What is answered without signing in, and the router's own pages."""
        router = f"http://127.0.0.1:{self._stack.port('router', 8080)}"
        for path in ("/metrics", "/status", "/health/ready", "/health/live", "/nothing"):
            yield f"router {path}", requests.get(router + path, timeout=60).content
        cloud = f"https://127.0.0.1:{self._stack.port('cloud-proxy', 8443)}"
        certificate = str(self._stack.secrets / "cloud" / "ca.pem")
        for path in ("/", "/health", "/dicom-web/studies", "/viewer", "/app-config.js", "/nothing"):
            answer = requests.get(cloud + path, verify=certificate, timeout=60)
            headers = json.dumps(dict(answer.headers)).encode()
            yield f"cloud {path}", headers + answer.content
        door = subprocess.run(
            ["docker", "exec", self._stack.container("door"), "python3", "-c",
             _DOORS_FIGURES],
            capture_output=True, check=True,
        )  # fmt: skip
        assert b"edge_door_connections_total" in door.stdout
        yield "door /metrics", door.stdout
