"""The cloud as it is shipped, in containers: nginx, the entrance, the guarded archive, Prometheus."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from entrance import accounts
from tests.support import monitoring
from tests.support.orthancs import PASSWORD, health_header, suite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from testcontainers.core.network import Network

    from tests.support.certificates import Authority
    from tests.support.monitoring import Service

ENTRANCE = 8000
READER = "radiologist"
READERS_PASSWORD = "a reader's password"
_ARCHIVE_USERS = ("reader", "store", "entrance")


def password_of(user: str) -> str:
    """Of a truck's user: truck-A, metrics-A."""
    return f"{user} {PASSWORD}"


@dataclass
class Cloud:
    """A running cloud."""

    proxy: Service
    entrance: Service
    archive: Service
    folder: Path
    authority: Authority

    @property
    def url(self) -> str:
        return self.proxy.url

    def ask(self, method: str, path: str, user: str = "", **more: Any) -> requests.Response:
        """A request of a truck's user, or of nobody."""
        auth = (user, password_of(user)) if user else None
        return requests.request(
            method, f"{self.url}{path}", auth=auth, verify=str(self.authority.file), timeout=60,
            allow_redirects=False, **more,
        )  # fmt: skip

    def session(self, user: str = READER, password: str = READERS_PASSWORD) -> requests.Session:
        """A browser's session behind the sign-in's form."""
        session = requests.Session()
        session.trust_env = False  # else the machine's own authorities take the place of ours
        session.verify = str(self.authority.file)
        sign_in(session, self.url, user, password)
        return session

    def raw(self, line: str, headers: Sequence[str] = (), body: bytes = b"") -> tuple[int, bytes]:
        """What a request's line is answered with, sent as it stands here."""
        parts = urlsplit(self.url)
        context = ssl.create_default_context(cafile=str(self.authority.file))
        with (
            socket.create_connection((parts.hostname, parts.port), 10) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
        ):
            head = [f"{line} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
            secured.sendall("\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + body)
            answer = b""
            while piece := secured.recv(65536):
                answer += piece
        status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/") else b"0"
        return int(status), answer.partition(b"\r\n\r\n")[2]

    def at_the_archive(self, path: str, user: str = "auditor") -> Any:
        """What the archive itself holds, asked past the entrance."""
        answer = requests.get(f"{self.archive.url}{path}", auth=(user, PASSWORD), timeout=30)
        answer.raise_for_status()
        return answer.json()


def sign_in(session: requests.Session, url: str, user: str, password: str) -> requests.Response:
    """Fills in the form as a browser does."""
    page = session.get(f"{url}/sign-in", timeout=30)
    page.raise_for_status()
    token = page.text.partition('name="form" value="')[2].partition('"')[0]
    return session.post(
        f"{url}/sign-in", data={"user": user, "password": password, "form": token, "next": "/"},
        headers={"Origin": url}, allow_redirects=False, timeout=30,
    )  # fmt: skip


def write_accounts(folder: Path, trucks: Sequence[str]) -> Path:
    """The folder of accounts, with a reader."""
    (folder / "trucks").mkdir(parents=True, exist_ok=True)
    (folder / "readers").mkdir(exist_ok=True)
    for truck in trucks:
        kept = {
            f"{purpose}_sha256": hashlib.sha256(password_of(f"{user}-{truck}").encode()).hexdigest()
            for purpose, user in (("store", "truck"), ("metrics", "metrics"))
        }
        (folder / "trucks" / f"{truck}.json").write_text(json.dumps({"truck": truck, **kept}))
    (folder / "readers" / READER).write_text(accounts.hashed(READERS_PASSWORD))
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def archive_users(folder: Path) -> dict[Path, str]:
    """The archive's table of users, as a file → where its container has it."""
    users = folder / "archive-users.json"
    names = (*_ARCHIVE_USERS, "auditor", "health")
    users.write_text(json.dumps({"RegisteredUsers": dict.fromkeys(names, PASSWORD)}))
    health = folder / "archive-health"
    health.write_text(health_header())
    for file in (users, health):
        file.chmod(0o444)
    return {users: "/run/secrets/orthanc_users", health: "/run/secrets/orthanc_health"}


@contextmanager
def cloud(
    network: Network, folder: Path, authority: Authority, trucks: Sequence[str] = ("A",), *,
    archive_files: dict[Path, str] | None = None, proxy_files: dict[Path, str] | None = None,
    of_entrance: dict[str, str] | None = None,
) -> Iterator[Cloud]:  # fmt: skip
    """Starts it without Prometheus, which may be in the network already.

    ``archive_files`` and ``proxy_files`` take the place of what is shipped; ``of_entrance`` is its
    environment.
    """
    folder.mkdir(exist_ok=True)
    kept = write_accounts(folder / "accounts", trucks)
    secret = folder / "archive-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o444)
    socket_folder = folder / "socket"
    socket_folder.mkdir(exist_ok=True)
    socket_folder.chmod(0o777)
    shared = {socket_folder: "/run/entrance"}
    shown = authority.sign("cloud", "serverAuth", "DNS:cloud-proxy,DNS:localhost,IP:127.0.0.1")
    with ExitStack() as stack:
        archive = stack.enter_context(monitoring.running(
            "cloud-orthanc", monitoring.ORTHANC, network, "/system",
            of=f"orthanc-cloud:{suite()}", files=archive_users(folder) | (archive_files or {}),
        ))  # fmt: skip
        entrance = stack.enter_context(monitoring.running(
            "entrance", ENTRANCE, network, "/alive",
            files={kept: "/etc/entrance/accounts"},
            secrets={secret: [f"/run/secrets/archive_{user}_password" for user in _ARCHIVE_USERS]}, of_service=of_entrance,
            kept=shared,
        ))  # fmt: skip
        proxy = stack.enter_context(monitoring.running(
            "cloud-proxy", monitoring.PROXY, network, "/health", of="proxy", ca=authority.file,
            files={shown.file: "/run/secrets/cloud_certificate",
                   shown.key: "/run/secrets/cloud_certificate_key",
                   **shared} | (proxy_files or {}),
        ))  # fmt: skip
        yield Cloud(proxy, entrance, archive, folder, authority)
