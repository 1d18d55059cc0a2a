"""The whole compose stack, under a project of its own, with the images of scripts/images."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import requests
from testcontainers.compose import DockerCompose

from tests.support.cloud import sign_in
from tests.support.orthancs import ROOT, suite
from tests.support.waiting import until
from tools.audit import Cloud, study_alias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

TRUCK = "TRUCK1"
SERVICES = ["truck-orthanc", "door", "router", "cloud-orthanc", "entrance", "cloud-proxy"]


@dataclass
class Stack:
    """A running stack."""

    compose: DockerCompose
    project: str
    secrets: Path
    # Where the router answered last: to ask the engine each time takes more of the processor
    # than the question itself, and the stack is measured beside it.
    _router: list[int] = field(default_factory=list)

    def docker(self, *arguments: str) -> str:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, check=True, timeout=120
        )
        return done.stdout

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def port(self, service: str, inside: int) -> int:
        return int(self.docker("port", self.container(service), str(inside)).split(":")[-1])

    def kill(self, service: str) -> None:
        """kill -9 of every process in the container; the engine's restart policy brings it back.

        From inside, because the engine takes its own ``kill`` for a wish to stop.
        """
        self.docker("exec", self.container(service), "sh", "-c", "kill -9 -1")

    def edge_router(self, *arguments: str) -> Any:
        """What the command prints with --json, whatever its exit code."""
        done = subprocess.run(
            ["docker", "exec", self.container("router"), "edge-router", *arguments, "--json"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        return json.loads(done.stdout)

    def studies(self) -> list[dict[str, Any]]:
        """The studies that the router knows; none while it is down."""
        try:
            port = self._router.pop() if self._router else self.port("router", 8080)
            url = f"http://127.0.0.1:{port}/status"
            answer = requests.get(url, timeout=10)
            answer.raise_for_status()  # after a restart the port may be another service's
            found: list[dict[str, Any]] = answer.json()["studies"]
        except (requests.RequestException, subprocess.CalledProcessError):
            return []
        self._router.append(port)
        return found

    @property
    def entrance(self) -> str:
        """The address of the cloud's entrance."""
        return f"https://localhost:{self.port('cloud-proxy', 8443)}"

    def reader(self) -> requests.Session:
        """The session of a radiologist who has signed in."""
        session = requests.Session()
        session.trust_env = False  # else the machine's own authorities take the place of ours
        session.verify = str(self.secrets / "cloud" / "ca.pem")
        password = (self.secrets / "cloud" / "radiologist_password").read_text().strip()
        answer = sign_in(session, self.entrance, "radiologist", password)
        assert answer.status_code == requests.codes.see_other, answer.text
        return session

    def cloud(self) -> Cloud:
        password = (self.secrets / "cloud" / "auditor_password").read_text().strip()
        return Cloud(f"http://127.0.0.1:{self.port('cloud-orthanc', 8042)}", "auditor", password)

    def alias(self, patient_id: str, study_uid: str) -> str:
        """What status calls a study."""
        return study_alias(self.key(), patient_id, study_uid)

    def key(self) -> bytes:
        return bytes.fromhex(
            (self.secrets / "trucks" / TRUCK / "programme_key").read_text().partition(":")[2]
        )

    def at_rest(self, ids: Iterable[str], deadline_s: float = 120) -> list[dict[str, Any]]:
        """These studies (as status names them), as soon as all of them are at rest."""
        wanted = set(ids)

        def rested() -> list[dict[str, Any]]:
            found = [study for study in self.studies() if study["study"] in wanted]
            return found if len(found) == len(wanted) and all(s["at_rest"] for s in found) else []

        # A question takes the router 6 ms: asked at each chance, they would be a tenth of its work.
        return until(rested, deadline_s, what="every study at rest", pause_s=0.2)


def make_secrets(folder: Path, truck: str = TRUCK) -> None:
    """The set of one truck and the set of the cloud, as scripts/secrets makes them."""
    for machine in (["cloud"], ["truck", truck]):
        subprocess.run(
            [ROOT / "scripts" / "secrets", *machine],
            check=True, capture_output=True, env=os.environ | {"SECRETS_DIR": str(folder)},
        )  # fmt: skip


@contextmanager
def started(
    secrets: Path, stable_age_s: int, services: list[str] | None = SERVICES,
    trucks: Sequence[str] = (TRUCK,),
) -> Iterator[Stack]:  # fmt: skip
    """Starts the stack with fresh secrets in a folder; removes it and its volumes at the end.

    ``services``: none means all of both machines. ``trucks``: all that the cloud knows; the stack's
    is the first.
    """
    for truck in trucks:
        make_secrets(secrets, truck)
    project = f"edge-test-{uuid.uuid4().hex[:8]}"
    # testcontainers hands its own environment to compose.
    os.environ.update({
        # What .env says of this machine's own truck is not the test's.
        "COMPOSE_DISABLE_ENV_FILE": "1",
        "COMPOSE_PROJECT_NAME": project, "COMPOSE_PROFILES": "truck,cloud",
        "ORTHANC_SUITE": suite(), "SECRETS_DIR": str(secrets), "TRUCK_ID": TRUCK, "STABLE_AGE_S": str(stable_age_s),
        "DICOM_BIND": "127.0.0.1", "DICOM_PORT": "0", "CLOUD_PORT": "0",
    })  # fmt: skip
    files = ["docker-compose.yml", "tests/e2e/compose.audit.yml"]
    with DockerCompose(str(ROOT), files, wait=True, services=services) as compose:
        yield Stack(compose, project, secrets)
