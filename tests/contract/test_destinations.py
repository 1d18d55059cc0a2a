"""The contract of a destination: one suite for every kind, on a real service and on a scripted one."""

from __future__ import annotations

import json
import ssl
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from router.destinations import KINDS
from router.destinations.base import Outgoing, Stored
from router.destinations.circuit_breaker import CircuitBreaker, CircuitBroken
from router.destinations.connection_limit import ConnectionLimited
from router.destinations.dimse import DimseSettings
from router.destinations.rate_cap import RateCapped
from router.destinations.stow import StowSettings
from router.dicom import part10
from router.records.copies import Copy
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    Hold,
    LinkDown,
    StoreRefused,
    SyntaxRefused,
)
from router.records.receipt import VerifiedBy
from tests.support.archive import ARCHIVE_AET
from tests.support.fake_pacs import Answer, FakePacs, coerced, failed, stored
from tests.support.orthancs import PASSWORD, Orthanc
from tests.support.sending import copy_and_file, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.destinations import Destination
    from tests.support.archive import Archive


def _made(tmp_path: Path, url: str, **more: Any) -> Destination:
    password = tmp_path / "password"
    password.write_text(more.pop("password", PASSWORD))
    settings = StowSettings.model_validate({
        "kind": "stow", "name": "cloud", "url": url, "user": "truck",
        "password_file": password, "connect_timeout_s": 2, "answer_timeout_s": 5, **more,
    })  # fmt: skip
    return KINDS["stow"].make(settings)


def _made_dimse(archive: Archive, **more: Any) -> Destination:
    settings = DimseSettings.model_validate({
        "kind": "dimse", "name": "archive", "host": "localhost",
        "port": archive.orthanc.dicom_port, "called_aet": ARCHIVE_AET,
        "ca_file": archive.authority.file, "client_certificate_file": archive.client.file,
        "client_key_file": archive.client.key, "answer_timeout_s": 5, **more,
    })  # fmt: skip
    return KINDS["dimse"].make(settings)


#: What may be around a destination.
WRAPPERS: dict[str, Callable[[Destination], Destination]] = {
    "alone": lambda inner: inner,
    "rate cap": lambda inner: RateCapped(inner, 1e9),
    "connection limit": lambda inner: ConnectionLimited(inner, 2),
    "circuit breaker": lambda inner: CircuitBroken(inner, CircuitBreaker()),
}
KINDS_OF_ALL = ["stow read back by qido", "stow read back by orthanc", "dimse"]


@pytest.fixture(
    params=[
        *((kind, "alone") for kind in KINDS_OF_ALL),
        ("stow read back by qido", "rate cap"),
        ("dimse", "rate cap"),
        ("stow read back by orthanc", "connection limit"),
        ("dimse", "circuit breaker"),
    ],
    ids=", ".join,
)
def destination(
    request: pytest.FixtureRequest, tmp_path: Path, archive: Archive
) -> Iterator[Destination]:
    """Every kind, alone and in each wrapper, on the same real service."""
    kind, wrapper = request.param
    if kind == "dimse":
        made = _made_dimse(archive)
    else:
        url = archive.orthanc.url
        more = {"readback": kind.split()[-1]}
        if more["readback"] == "orthanc":
            more["readback_url"] = url
        made = _made(tmp_path, f"{url}/dicom-web", **more)
    wrapped = WRAPPERS[wrapper](made)
    yield wrapped
    wrapped.close()


def test_a_probe_of_a_service_that_is_there_says_nothing(destination: Destination) -> None:
    destination.probe()


def test_what_was_sent_is_verified_and_what_was_not_is_not(destination: Destination) -> None:
    copy, raw = copy_and_file("sent")
    other, _ = copy_and_file("not sent")
    assert destination.verify([copy]).verified == {}
    assert send(destination, copy, raw) is Stored.STORED
    answer = destination.verify([copy])
    assert answer.verified.keys() == {copy.sop_uid}
    assert answer.verified[copy.sop_uid] in {VerifiedBy.DIGEST, VerifiedBy.PRESENCE}
    assert destination.verify([other]).verified == {}


def test_many_are_verified_at_once(destination: Destination) -> None:
    files = [copy_and_file(f"many{n}", f"{n}") for n in range(5)]
    study, series = files[0][0].study_uid, files[0][0].series_uid
    for copy, raw in files[:4]:
        send(destination, copy, raw)
    copies = [copy for copy, _ in files]
    assert {(copy.study_uid, copy.series_uid) for copy in copies} == {(study, series)}
    assert destination.verify(copies).verified.keys() == {copy.sop_uid for copy in copies[:4]}


def test_sending_twice_leaves_one_and_says_stored(
    destination: Destination, archive: Archive
) -> None:
    copy, raw = copy_and_file("double")
    for _ in range(2):
        assert send(destination, copy, raw) in {Stored.STORED, Stored.DUPLICATE}
    assert len(archive.orthanc.instances()) == 1


def test_every_byte_is_counted_once(destination: Destination) -> None:
    """By DICOM network the file's header does not travel: PS3.10 is for files."""
    copy, raw = copy_and_file("counted")
    counted: list[int] = []
    destination.send(Outgoing(copy, memoryview(raw), counted.append))
    by_dimse = destination.name == "archive"  # whatever is around it
    header = part10.dataset_offset(memoryview(raw)) if by_dimse else 0
    assert sum(counted) == len(raw) - header


def test_the_service_holds_the_very_data_set(destination: Destination, archive: Archive) -> None:
    copy, raw = copy_and_file("bytes")
    send(destination, copy, raw)
    (instance,) = archive.orthanc.instances()
    assert part10.digest(memoryview(archive.orthanc.file(instance))) == copy.digest


def test_what_is_under_way_can_be_broken_off_and_sent_again(
    destination: Destination, archive: Archive
) -> None:
    copy, raw = copy_and_file("broken off", size=2048)

    def abort(_: int) -> None:
        destination.abort()

    with pytest.raises(LinkDown):
        destination.send(Outgoing(copy, memoryview(raw), abort))
    destination.probe()
    send(destination, copy, raw)
    assert len(archive.orthanc.instances()) == 1


def test_other_bytes_under_the_same_uid_are_found_by_the_digest(
    tmp_path: Path, cloud: Orthanc
) -> None:
    destination = _made(
        tmp_path, f"{cloud.url}/dicom-web", readback="orthanc", readback_url=cloud.url
    )
    copy, raw = copy_and_file("differs")
    send(destination, copy, raw)
    changed = raw[:-2] + bytes([raw[-2] ^ 1, raw[-1]])
    other = Copy(**{**copy.__dict__, "md5": part10.md5(memoryview(changed))})
    answer = destination.verify([other])
    assert not answer.verified
    assert answer.different == {copy.sop_uid}
    destination.close()


def test_a_wrong_password_pauses_the_destination(tmp_path: Path, cloud: Orthanc) -> None:
    destination = _made(tmp_path, f"{cloud.url}/dicom-web", password="wrong")
    copy, raw = copy_and_file()
    for ask in (destination.probe, lambda: send(destination, copy, raw)):
        with pytest.raises(DestinationPaused) as raised:
            ask()
        assert raised.value.code is Code.DESTINATION_DENIED
    destination.close()


@pytest.mark.parametrize("kind", ["stow", "dimse"])
def test_a_service_that_is_not_there_is_the_links_fault(tmp_path: Path, kind: str) -> None:
    destination = _made(tmp_path, "http://127.0.0.1:9/dicom-web")
    if kind == "dimse":
        destination = KINDS["dimse"].make(
            DimseSettings(kind="dimse", name="a", host="127.0.0.1", port=9, called_aet="A",
                          tls=False)
        )  # fmt: skip
    copy, raw = copy_and_file()
    for ask in (destination.probe, lambda: send(destination, copy, raw)):
        with pytest.raises(LinkDown):
            ask()
    destination.close()


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    yield from FakePacs().serving()


@pytest.mark.parametrize(
    ("status", "kind", "result"),
    [
        (200, "stored", Stored.STORED),
        (202, "stored", Stored.STORED),
        (400, "stored", Stored.STORED),  # Orthanc: one bad part of others, the good ones stored
        (409, "stored", Stored.STORED),
        (200, "coerced", Stored.COERCED),
        (409, "duplicate", Stored.DUPLICATE),
        (200, "silent", Stored.STORED),  # the read-back will tell
        (200, "html", Stored.STORED),
    ],
)
def test_the_body_decides_whatever_the_status(
    tmp_path: Path, pacs: FakePacs, status: int, kind: str, result: Stored
) -> None:
    copy, raw = copy_and_file()
    bodies = {
        "stored": stored(copy.sop_uid),
        "coerced": coerced(copy.sop_uid),
        "duplicate": failed(copy.sop_uid, 0x0111),
        "silent": b"",
        "html": b"<html>",
    }
    pacs.answers.append(Answer(status, bodies[kind]))
    assert send(_made(tmp_path, pacs.url), copy, raw) is result


@pytest.mark.parametrize(
    ("answer", "code", "retry_after_s"),
    [
        (Answer(503, headers={"Retry-After": "7"}), Code.DESTINATION_BUSY, 7.0),
        (Answer(429), Code.DESTINATION_BUSY, None),
        (Answer(500), Code.DESTINATION_BUSY, None),
        (Answer(507), Code.DESTINATION_FULL, None),
    ],
)
def test_an_answer_that_says_later_is_about_the_destination(
    tmp_path: Path, pacs: FakePacs, answer: Answer, code: Code, retry_after_s: float | None
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(answer)
    with pytest.raises(StoreRefused) as raised:
        send(_made(tmp_path, pacs.url), copy, raw)
    assert (raised.value.code, raised.value.retry_after_s) == (code, retry_after_s)


def test_every_request_hears_how_long_it_is_to_wait(tmp_path: Path, pacs: FakePacs) -> None:
    """In seconds, or as a date by the server's clock: the probe, the read-back, the image."""
    copy, raw = copy_and_file()
    destination = _made(tmp_path, pacs.url)
    date = {"Date": "Sat, 28 Nov 2026 20:00:00 GMT", "Retry-After": "Sat, 28 Nov 2026 20:01:30 GMT"}
    for headers, wait in (({"Retry-After": "7"}, 7.0), (date, 90.0)):
        pacs.answers.append(Answer(503, headers=headers))
        pacs.probe_status, pacs.probe_headers = 503, headers
        asked: list[tuple[Callable[[], object], type[DestinationPaused | DeliveryDeferred]]] = [
            (destination.probe, DestinationPaused),
            (lambda: destination.verify([copy]), DeliveryDeferred),
            (lambda: send(destination, copy, raw), StoreRefused),
        ]
        for ask, error in asked:
            with pytest.raises(error) as raised:
                ask()
            told = raised.value
            assert isinstance(told, DestinationPaused | DeliveryDeferred)
            assert told.retry_after_s == wait
    destination.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, Code.DESTINATION_DENIED), (403, Code.DESTINATION_DENIED),
        (405, Code.ENDPOINT_WRONG), (429, Code.DESTINATION_BUSY), (503, Code.DESTINATION_BUSY),
        (530, Code.DESTINATION_BUSY), (561, Code.DESTINATION_DENIED),
    ],
)  # fmt: skip
def test_a_probe_that_is_refused_says_why(
    tmp_path: Path, pacs: FakePacs, status: int, code: Code
) -> None:
    pacs.probe_status = status
    with pytest.raises(DestinationPaused) as raised:
        _made(tmp_path, pacs.url).probe()
    assert raised.value.code is code


@pytest.mark.parametrize("status", [200, 204, 400, 404])
def test_a_service_that_answers_a_probe_at_all_is_there(
    tmp_path: Path, pacs: FakePacs, status: int
) -> None:
    """404 is how some archives say that they have no study yet."""
    pacs.probe_status = status
    _made(tmp_path, pacs.url).probe()


@pytest.mark.parametrize("reason", [0xC000, 0x0110])
def test_a_failure_that_may_mend_defers_the_instance(
    tmp_path: Path, pacs: FakePacs, reason: int
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(Answer(409, failed(copy.sop_uid, reason)))
    with pytest.raises(DeliveryDeferred):
        send(_made(tmp_path, pacs.url), copy, raw)


@pytest.mark.parametrize("reason", [0xA900, 0xA771, 0x0122])
def test_a_failure_that_will_not_pass_holds_the_instance(
    tmp_path: Path, pacs: FakePacs, reason: int
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(Answer(409, failed(copy.sop_uid, reason)))
    with pytest.raises(Hold) as raised:
        send(_made(tmp_path, pacs.url), copy, raw)
    assert raised.value.code is Code.DESTINATION_REFUSED


@pytest.mark.parametrize(
    "answer",
    [Answer(415), Answer(409, failed(copy_and_file()[0].sop_uid, 0xC122))],
    ids=["415", "C122"],
)
def test_a_service_that_does_not_take_the_transfer_syntax_says_so(
    tmp_path: Path, pacs: FakePacs, answer: Answer
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(answer)
    with pytest.raises(SyntaxRefused):
        send(_made(tmp_path, pacs.url), copy, raw)


def test_of_several_in_one_body_each_is_answered_for_itself(tmp_path: Path, pacs: FakePacs) -> None:
    (good, raw), (bad, other), (silent, third) = (
        copy_and_file(seed) for seed in ("one", "two", "three")
    )
    answer = {**json.loads(stored(good.sop_uid)), **json.loads(failed(bad.sop_uid, 0xA900))}
    pacs.answers.append(Answer(202, json.dumps(answer).encode()))
    pacs.answers.append(Answer(400))
    destination = _made(tmp_path, pacs.url)
    files = [
        Outgoing(copy, memoryview(file), lambda _: None)
        for copy, file in ((good, raw), (bad, other), (silent, third))
    ]
    answers = destination.send_together(files)
    assert answers[good.sop_uid] is Stored.STORED
    assert isinstance(answers[bad.sop_uid], Hold)
    assert answers[silent.sop_uid] is Stored.STORED  # the read-back will tell
    assert pacs.bodies[0].count(raw) == pacs.bodies[0].count(third) == 1
    unclear = destination.send_together(files)
    assert {type(answer) for answer in unclear.values()} == {DeliveryDeferred}


def test_what_is_under_way_is_broken_off_from_another_thread(
    tmp_path: Path, pacs: FakePacs
) -> None:
    copy, raw = copy_and_file()
    arrived, give_up = threading.Event(), threading.Event()

    def never(_: bytes) -> Answer:
        arrived.set()
        give_up.wait(20)
        return Answer(cut=True)

    pacs.answer_to = never
    destination = _made(tmp_path, pacs.url, answer_timeout_s=30)
    with ThreadPoolExecutor(1) as thread:
        sending = thread.submit(send, destination, copy, raw)
        assert arrived.wait(10)
        destination.abort()
        with pytest.raises(LinkDown):
            sending.result(5)
        give_up.set()


@pytest.mark.parametrize("status", [413])
def test_a_status_that_will_not_pass_holds_the_instance(
    tmp_path: Path, pacs: FakePacs, status: int
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(Answer(status))
    with pytest.raises(Hold):
        send(_made(tmp_path, pacs.url), copy, raw)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404),
        Answer(405),
        Answer(410),
        Answer(307, headers={"Location": "http://127.0.0.1:9/elsewhere"}),
        Answer(302, headers={"Location": "/login"}),
    ],
    ids=lambda answer: str(answer.status),
)
def test_a_wrong_endpoint_pauses_the_destination_and_no_redirect_is_followed(
    tmp_path: Path, pacs: FakePacs, answer: Answer
) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(answer)
    with pytest.raises(DestinationPaused) as raised:
        send(_made(tmp_path, pacs.url), copy, raw)
    assert raised.value.code is Code.ENDPOINT_WRONG
    assert len(pacs.bodies) == 1


def test_a_server_that_lists_only_so_many_is_asked_for_the_others_one_by_one(
    tmp_path: Path, pacs: FakePacs
) -> None:
    copies = [Copy(**{**copy_and_file()[0].__dict__, "sop_uid": f"2.25.{n}"}) for n in range(5)]
    held = {copy.sop_uid for copy in copies[:4]}
    pacs.listing = lambda asked: [asked] if asked in held else sorted(held)[:2]
    answer = _made(tmp_path, pacs.url).verify(copies)
    assert answer.verified.keys() == held


def test_an_answer_that_is_lost_is_the_links_fault(tmp_path: Path, pacs: FakePacs) -> None:
    copy, raw = copy_and_file()
    pacs.answers.append(Answer(cut=True))
    with pytest.raises(LinkDown):
        send(_made(tmp_path, pacs.url), copy, raw)
    assert raw in pacs.bodies[0]


def test_a_certificate_of_somebody_else_pauses_the_destination(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    destination = _made(tmp_path, f"https://localhost:{server.server_address[1]}/dicom-web")
    with pytest.raises(DestinationPaused) as raised:
        destination.probe()
    assert raised.value.code is Code.CERTIFICATE_REFUSED
    destination.close()
    server.shutdown()
    server.server_close()


def test_plain_http_to_another_machine_needs_a_word_for_it() -> None:
    with pytest.raises(ValidationError, match="insecure"):
        StowSettings.model_validate({"kind": "stow", "name": "a", "url": "http://pacs/dicom-web"})
    StowSettings.model_validate(
        {"kind": "stow", "name": "a", "url": "http://pacs/dicom-web", "insecure": True}
    )
