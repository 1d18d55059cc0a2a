"""Alerts by e-mail: a real Alertmanager and a mail server that asks for TLS and a password."""

from __future__ import annotations

import email
import email.policy
import html
import re
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

import requests
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword
from testcontainers.core.network import Network

from tests.faults.truck import free_port
from tests.support import monitoring
from tests.support.certificates import Authority
from tests.support.orthancs import PASSWORD
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from aiosmtpd.smtp import SMTP, Envelope, Session

    from tests.support.monitoring import Service

TO, FROM, USER = "operations@example.org", "fleet@example.org", "fleet"


class MailServer:
    """What it took, and how."""

    def __init__(self) -> None:
        self.taken: list[EmailMessage] = []
        self.refused = 0

    async def handle_DATA(self, _: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert session.ssl is not None
        assert session.authenticated
        assert (envelope.mail_from, envelope.rcpt_tos) == (FROM, [TO])
        content = envelope.content
        assert isinstance(content, bytes)
        self.taken.append(email.message_from_bytes(content, policy=email.policy.default))
        return "250 taken"

    def judge(self, *asked: object) -> AuthResult:
        """Of server, session, envelope, mechanism, and what was said."""
        right = asked[-1] == LoginPassword(USER.encode(), PASSWORD.encode())
        self.refused += not right
        return AuthResult(success=right, handled=False)


@contextmanager
def mail_server(folder: Path) -> Iterator[tuple[MailServer, int, Path]]:
    """The server, its port, and the certificate authority that it is to be trusted by."""
    authority = Authority(folder, "mail-ca")
    shown = authority.sign("mail", "serverAuth", f"DNS:{monitoring.HERE}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key)
    server = MailServer()
    port = free_port()
    controller = Controller(
        server, hostname="0.0.0.0", port=port, tls_context=context, require_starttls=True,  # noqa: S104
        auth_required=True, authenticator=server.judge,
        auth_exclude_mechanism=["LOGIN"],  # it asks for "User Name", which nobody else does
    )  # fmt: skip
    controller.start()
    try:
        yield server, port, authority.file
    finally:
        controller.stop()


@contextmanager
def alertmanager(
    folder: Path, port: int, ca: Path, password: str, runbook: str = ""
) -> Iterator[Service]:
    secret = folder / "smtp_password"
    secret.write_text(password)
    secret.chmod(0o444)
    with (
        Network() as network,
        monitoring.running(
            "alertmanager", monitoring.ALERTMANAGER, network, "/-/ready",
            files={secret: "/run/secrets/smtp_password", ca: "/run/secrets/smtp_ca"},
            ALERT_EMAIL_TO=TO, ALERT_EMAIL_FROM=FROM,
            SMTP_HOST=f"{monitoring.HERE}:{port}", SMTP_USER=USER, ALERT_GROUP_WAIT="2s",
            RUNBOOK_URL=runbook,
        ) as running,
    ):  # fmt: skip
        yield running


def _alert(running: Service, *names: tuple[str, str]) -> None:
    alerts = [
        {
            "labels": {"alertname": name, "truck": truck, "severity": "warning"},
            "annotations": {
                "summary": f"{name} of {truck}.",
                "runbook": f"docs/runbook.md#{name.lower()}",
            },
        }
        for truck, name in names
    ]
    answer = requests.post(f"{running.url}/api/v2/alerts", json=alerts, timeout=10)
    answer.raise_for_status()


def _text(message: EmailMessage) -> str:
    body = message.get_body(("html",))
    assert body is not None
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.get_content()))


def test_a_mail_for_each_truck_says_what_is_wrong_and_where_to_read_what_to_do(
    tmp_path: Path,
) -> None:
    with (
        mail_server(tmp_path) as (server, port, ca),
        alertmanager(tmp_path, port, ca, PASSWORD) as running,
    ):
        _alert(running, ("A", "DiskFilling"), ("A", "HeldWaiting"), ("B", "QcOutlier"))
        until(lambda: len(server.taken) >= 2, 60, what="both mails")
    assert len(server.taken) == 2
    assert not server.refused
    first, second = sorted(map(_text, server.taken))
    of_a, of_b = (first, second) if "DiskFilling" in first else (second, first)
    for name in ("DiskFilling", "HeldWaiting"):
        assert f"{name} of A." in of_a
        assert f"docs/runbook.md#{name.lower()}" in of_a
    assert "QcOutlier of B." in of_b
    assert "docs/runbook.md#qcoutlier" in of_b
    assert " of B." not in of_a
    subjects = {str(message["Subject"]) for message in server.taken}
    assert any("FIRING:2" in s and "A" in s for s in subjects), subjects
    assert {str(message["To"]) for message in server.taken} == {TO}


def test_where_it_is_known_where_the_runbook_can_be_read_a_mail_links_to_it(
    tmp_path: Path,
) -> None:
    base = "https://wiki.example.org/it's/edge-router/"
    with (
        mail_server(tmp_path) as (server, port, ca),
        alertmanager(tmp_path, port, ca, PASSWORD, base) as running,
    ):
        _alert(running, ("A<b>", "DiskFilling"), ("A<b>", "HeldWaiting"))
        until(lambda: server.taken, 60, what="the mail")
    body = server.taken[0].get_body(("html",))
    assert body is not None
    text = html.unescape(body.get_content())
    for name in ("DiskFilling", "HeldWaiting"):
        assert f'<a href="{base}docs/runbook.md#{name.lower()}">' in text
        assert f"{name} of A&lt;b&gt;." in body.get_content()


def test_a_mail_that_cannot_be_sent_is_counted(tmp_path: Path) -> None:
    with (
        mail_server(tmp_path) as (server, port, ca),
        alertmanager(tmp_path, port, ca, "wrong") as running,
    ):
        _alert(running, ("A", "DiskFilling"))
        until(lambda: _failed(running), 60, what="a failed mail")
        assert server.refused
        assert not server.taken


def test_nothing_is_sent_to_a_mail_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    with (
        mail_server(tmp_path) as (server, port, _),
        alertmanager(tmp_path, port, Authority(tmp_path, "stranger").file, PASSWORD) as running,
    ):
        _alert(running, ("A", "DiskFilling"))
        until(lambda: _failed(running), 60, what="a failed mail")
        assert not server.taken
        assert not server.refused


def _failed(running: Service) -> float:
    said = running.metric("alertmanager_notification_requests_failed_total")
    return sum(value for labels, value in said.items() if 'integration="email"' in labels)
