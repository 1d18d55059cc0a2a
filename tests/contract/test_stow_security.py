"""Who is let in and who is believed over HTTPS: tokens, certificates, authorities."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from router.destinations.stow import Stow, StowSettings
from router.records.errors import Code, DestinationPaused, LinkDown, SettingsError
from tests.support.certificates import Authority, Certificate
from tests.support.fake_pacs import Answer, FakePacs, stored
from tests.support.sending import copy_and_file, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), "ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.sign("server", "serverAuth")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.sign("client", "clientAuth")


def _made(url: str, **more: Any) -> Stow:
    return Stow(
        StowSettings.model_validate(
            {"kind": "stow", "name": "cloud", "url": url, "connect_timeout_s": 2,
             "answer_timeout_s": 5, **more}
        )
    )  # fmt: skip


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    yield from FakePacs().serving()


def test_a_bearer_token_is_shown_and_its_renewal_is_seen(tmp_path: Path, pacs: FakePacs) -> None:
    token = tmp_path / "token"
    token.write_text("first.token_~+/-==\n")
    destination = _made(pacs.url, token_file=token)
    copy, raw = copy_and_file()
    pacs.answers = [
        Answer(200, stored(copy.sop_uid)),
        Answer(401),
        Answer(200, stored(copy.sop_uid)),
    ]
    send(destination, copy, raw)
    with pytest.raises(DestinationPaused) as raised:
        send(destination, copy, raw)
    assert raised.value.code is Code.DESTINATION_DENIED
    token.write_text("second")
    send(destination, copy, raw)
    assert pacs.authorizations == ["Bearer first.token_~+/-==", "Bearer first.token_~+/-==",
                                   "Bearer second"]  # fmt: skip
    token.unlink()
    with pytest.raises(DestinationPaused) as raised:
        destination.probe()
    assert raised.value.code is Code.SECRET_UNREADABLE
    destination.close()


@pytest.mark.parametrize("text", ["", "two words", "two\nlines"])
def test_a_file_without_a_token_is_a_fault_of_the_settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(SettingsError) as raised:
        _made("https://localhost", token_file=tmp_path / "token")
    assert raised.value.code is Code.SECRET_UNREADABLE


def _securing(
    server: Certificate, authority: Authority, newest: ssl.TLSVersion, asks: ssl.VerifyMode
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = newest
    context.load_cert_chain(server.file, server.key)
    context.load_verify_locations(authority.file)
    context.verify_mode = asks
    return context


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def secured(
    request: pytest.FixtureRequest, server: Certificate, authority: Authority
) -> Iterator[FakePacs]:
    """Lets nobody in without a certificate of the authority."""
    context = _securing(server, authority, request.param, ssl.CERT_REQUIRED)
    yield from FakePacs(context).serving()


def test_both_sides_show_certificates_of_a_private_authority(
    secured: FakePacs, authority: Authority, client: Certificate
) -> None:
    destination = _made(
        secured.url, ca_file=authority.file,
        client_certificate_file=client.file, client_key_file=client.key,
    )  # fmt: skip
    copy, raw = copy_and_file()
    secured.answers = [Answer(200, stored(copy.sop_uid))]
    destination.probe()
    send(destination, copy, raw)
    assert raw in secured.bodies[0]
    destination.close()


def test_a_router_without_a_certificate_is_told_that_it_is_denied(
    secured: FakePacs, authority: Authority
) -> None:
    destination = _made(secured.url, ca_file=authority.file)
    with pytest.raises(DestinationPaused) as raised:
        destination.probe()
    assert raised.value.code is Code.DESTINATION_DENIED
    destination.close()


def test_a_server_of_another_authority_is_not_believed_and_gets_nothing(
    secured: FakePacs, client: Certificate, tmp_path: Path
) -> None:
    copy, raw = copy_and_file()
    for more in ({}, {"ca_file": Authority(tmp_path, "other").file}):
        destination = _made(
            secured.url, client_certificate_file=client.file, client_key_file=client.key, **more
        )
        ask: Callable[[], object]
        for ask in (destination.probe, lambda made=destination: send(made, copy, raw)):
            with pytest.raises(DestinationPaused) as raised:
                ask()
            assert raised.value.code is Code.CERTIFICATE_REFUSED
        destination.close()
    assert secured.bodies == []


def test_a_server_with_another_name_is_not_believed(authority: Authority) -> None:
    elsewhere = authority.sign("elsewhere", "serverAuth", "DNS:elsewhere.example")
    context = _securing(elsewhere, authority, ssl.TLSVersion.TLSv1_3, ssl.CERT_NONE)
    for pacs in FakePacs(context).serving():
        destination = _made(pacs.url, ca_file=authority.file)
        with pytest.raises(DestinationPaused) as raised:
            destination.probe()
        assert raised.value.code is Code.CERTIFICATE_REFUSED
        destination.close()


@pytest.mark.parametrize(
    "page", [b"<center>No required SSL certificate was sent</center>",
             b"<center>The SSL certificate error</center>"],
)  # fmt: skip
def test_a_proxy_that_misses_our_certificate_behind_the_handshake_pauses_and_holds_nothing(
    pacs: FakePacs, page: bytes
) -> None:
    copy, raw = copy_and_file()
    pacs.answers = [Answer(400, page)]
    destination = _made(pacs.url)
    with pytest.raises(DestinationPaused) as raised:
        send(destination, copy, raw)
    assert raised.value.code is Code.DESTINATION_DENIED
    destination.close()


def test_plain_http_to_a_server_that_speaks_tls_is_the_links_fault(
    secured: FakePacs,
) -> None:
    destination = _made(secured.url.replace("https", "http"))
    with pytest.raises(LinkDown):
        destination.probe()
    destination.close()


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"client_certificate_file": __file__}, "need each other"),
        ({"client_key_file": __file__}, "need each other"),
        ({"user": "a", "password_file": __file__, "token_file": __file__}, "exclude"),
        ({"token_file": "/nowhere"}, "token_file"),
    ],
)
def test_settings_that_contradict_each_other_are_named(more: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        _made("https://localhost", **more)
