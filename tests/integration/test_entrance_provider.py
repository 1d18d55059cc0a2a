"""Signing in with an OpenID provider: a real one in all that the entrance sees of it, over HTTPS."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.server
import json
import ssl
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from entrance import oidc
from entrance.app import Entrance
from entrance.settings import Provider, Settings
from tests.support import cloud
from tests.support.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.applications import Starlette

_HOST = "pacs.example"


@dataclass
class Given:
    """A provider: what it was asked for, and what its next ID token says instead of the truth."""

    issuer: str = ""
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "1"}))
    signs_with: RSAKey | None = None
    asked: dict[str, str] = field(default_factory=dict)
    instead: dict[str, object] = field(default_factory=dict)
    name: str = cloud.READER

    def answer(self, path: str, body: str) -> dict[str, Any]:
        if path.endswith("openid-configuration"):
            return {"issuer": self.issuer, "authorization_endpoint": f"{self.issuer}/authorize",
                    "token_endpoint": f"{self.issuer}/token", "jwks_uri": f"{self.issuer}/keys"}  # fmt: skip
        if path == "/keys":
            return {"keys": [self.key.as_dict(private=False)]}
        form = {name: values[0] for name, values in parse_qs(body).items()}
        shown = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(shown).rstrip(b"=").decode()
        assert (form["code"], challenge) == ("a-code", self.asked["code_challenge"])
        claims = {"iss": self.issuer, "aud": "archive", "nonce": self.asked["nonce"],
                  "exp": int(time.time()) + 60, "sub": "1", "preferred_username": self.name}  # fmt: skip
        token = jwt.encode({"alg": "RS256", "kid": "1"}, claims | self.instead,
                           self.signs_with or self.key)  # fmt: skip
        return {"access_token": "x", "token_type": "Bearer", "id_token": token}


@contextmanager
def _provider(authority: Authority) -> Iterator[Given]:
    given = Given()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
            answer = json.dumps(given.answer(self.path, body)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET  # noqa: N815  (http.server's name)

        def log_message(self, *_: object) -> None:
            """Not the test's output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    certificate = authority.sign("provider", "serverAuth")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    given.issuer = f"https://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield given
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Browser:
    """A browser before the entrance, with nginx's part done here."""

    app: Starlette
    given: Given
    entrance: Entrance
    cookies: httpx2.Cookies = field(default_factory=httpx2.Cookies)

    def see(self, path: str) -> httpx2.Response:
        return asyncio.run(self._see(path))

    async def _see(self, path: str) -> httpx2.Response:
        transport = httpx2.ASGITransport(self.app)
        async with httpx2.AsyncClient(
            transport=transport, base_url=f"https://{_HOST}", cookies=self.cookies
        ) as client:
            decided = await client.get(
                "/decide", headers={"X-Edge-Target": path, "X-Edge-Method": "GET",
                                    "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "cross-site"},
            )  # fmt: skip
            assert decided.status_code == 200, path
            ticket = {"X-Edge-Ticket": decided.headers["X-Edge-Ticket"]}
            answer = await client.get(path, headers=ticket)
            self.cookies = client.cookies
            return answer

    def leave(self, to: str = "/") -> str:
        """Goes to the provider; the state to come back with."""
        answer = self.see(f"/sign-in/with-provider?next={to}")
        assert answer.status_code == 303
        there = urlsplit(answer.headers["Location"])
        assert f"https://{there.netloc}" == self.given.issuer
        self.given.asked = {name: values[0] for name, values in parse_qs(there.query).items()}
        assert self.given.asked["redirect_uri"] == f"https://{_HOST}/sign-in/back"
        assert self.given.asked["code_challenge_method"] == "S256"
        return self.given.asked["state"]

    @property
    def signed_in(self) -> bool:
        return "__Host-edge-session" in self.cookies


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    authority = Authority(tmp_path, "ca")
    with _provider(authority) as given:
        settings = Settings(
            "http://entrance:8000", "http://127.0.0.1:1", "http://127.0.0.1:1",
            cloud.write_accounts(tmp_path / "accounts", ["A"]), tmp_path / "entrance.db",
            dict.fromkeys(("reader", "store", "entrance"), "x"),
            provider=Provider(given.issuer, "archive", "secret", ca_file=str(authority.file)),
        )  # fmt: skip
        entrance = Entrance(settings)
        yield Browser(entrance.app(), given, entrance)


def test_a_reader_comes_in_by_the_provider_and_to_where_the_link_led(browser: Browser) -> None:
    assert "Sign in with your organisation" in browser.see("/sign-in").text
    state = browser.leave("/viewer?StudyInstanceUIDs%3D1.2".replace("?", "%3F"))
    answer = browser.see(f"/sign-in/back?code=a-code&state={state}")
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        "/viewer?StudyInstanceUIDs=1.2",
    )
    assert browser.signed_in


def test_who_has_no_account_stays_outside(browser: Browser) -> None:
    browser.given.name = "somebody"
    state = browser.leave()
    assert browser.see(f"/sign-in/back?code=a-code&state={state}").status_code == 403
    assert not browser.signed_in


@pytest.mark.parametrize(
    "instead", [{"iss": "https://evil.example"}, {"aud": "another"}, {"nonce": "another"},
                {"exp": 1}, {"nonce": None}],
)  # fmt: skip
def test_a_token_for_somebody_else_or_of_another_time_is_not_believed(
    browser: Browser, instead: dict[str, object]
) -> None:
    browser.given.instead = instead
    state = browser.leave()
    assert browser.see(f"/sign-in/back?code=a-code&state={state}").status_code == 502
    assert not browser.signed_in


def test_a_token_of_another_key_is_not_believed(browser: Browser) -> None:
    browser.given.signs_with = RSAKey.generate_key(2048, {"kid": "1"})
    state = browser.leave()
    assert browser.see(f"/sign-in/back?code=a-code&state={state}").status_code == 502
    assert not browser.signed_in


def test_an_answer_that_this_browser_did_not_ask_for_is_not_taken(browser: Browser) -> None:
    state = browser.leave()
    for other in ("another", ""):
        assert browser.see(f"/sign-in/back?code=a-code&state={other}").status_code == 502
    # It counts once, whatever came of it.
    assert browser.see(f"/sign-in/back?code=a-code&state={state}").status_code == 502
    assert not browser.signed_in


def test_sign_ins_that_nobody_finishes_take_no_more_and_no_more_memory(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only sets out pushes out the oldest of those; a reader who comes back is taken in."""
    monkeypatch.setattr(oidc, "_MOST_PENDING", 5)
    provider = browser.entrance.provider
    assert provider is not None
    for number in range(20):
        Browser(browser.app, browser.given, browser.entrance).leave()
        assert provider.unfinished == min(number + 1, 5)
    late = Browser(browser.app, browser.given, browser.entrance)
    lost = late.leave()
    for _ in range(5):
        state = browser.leave()
    assert late.see(f"/sign-in/back?code=a-code&state={lost}").status_code == 502
    assert not late.signed_in
    assert browser.see(f"/sign-in/back?code=a-code&state={state}").status_code == 303
    assert browser.signed_in
    assert provider.unfinished == 4
    # What is too old goes whatever the number.
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601)
    browser.leave()
    assert provider.unfinished == 1
