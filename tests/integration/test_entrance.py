"""The cloud's entrance: nginx, the entrance, the guarded archive, as they are shipped."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import ssl
import struct
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import pytest
import requests
from pydicom.uid import ExplicitVRLittleEndian
from testcontainers.core.network import Network

from router.destinations.base import Outgoing, Stored
from router.destinations.stow import Stow, StowSettings
from router.records.copies import Copy
from router.records.receipt import VerifiedBy
from tests.support import monitoring, spellings
from tests.support.certificates import Authority
from tests.support.cloud import READER, READERS_PASSWORD, cloud, password_of, sign_in
from tests.support.nested_image import data_uid, file_of, image
from tests.support.orthancs import PASSWORD, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom.dataset import Dataset

    from tests.support.cloud import Cloud

_JSON = {"Accept": "application/dicom+json"}
#: The entrance's own bound; its container has three times as much.
_MOST_RSS_MIB = 64


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cloud")
    folder.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Cloud]:
    with Network() as network, cloud(network, home, Authority(home, "ca"), ("A", "B")) as made:
        yield made


def store(
    running: Cloud, files: list[bytes], user: str = "truck-A", study: str = ""
) -> requests.Response:
    boundary = uuid.uuid4().hex
    body = (
        b"".join(
            f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + file + b"\r\n"
            for file in files
        )
        + f"--{boundary}--\r\n".encode()
    )
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    return running.ask(
        "POST", f"/dicom-web/studies{study and '/' + study}", user, data=body,
        headers=_JSON | {"Content-Type": kind},
    )  # fmt: skip


def uids_of(answer: requests.Response, tag: str) -> dict[str, int]:
    """SOP Instance UID → failure reason, of an answer's 00081198 or 00081199."""
    return {
        item["00081155"]["Value"][0]: item.get("00081197", {}).get("Value", [0])[0]
        for item in answer.json().get(tag, {}).get("Value", [])
    }


def starts(running: Cloud) -> tuple[str, int]:
    """When the archive was started, and how often it was started again."""
    out = subprocess.run(["docker", "inspect", running.archive.id], capture_output=True, check=True)
    (found,) = json.loads(out.stdout)
    return found["State"]["StartedAt"], found["RestartCount"]


# ---- who may ask for what


def _identifiers(running: Cloud) -> dict[str, str]:
    """Orthanc's own names of what a truck stored."""
    one = image()
    assert store(running, [file_of(one)]).status_code == 200

    def named(*values: str) -> str:
        digits = hashlib.sha1("|".join(values).encode(), usedforsecurity=False).hexdigest()
        return "-".join(digits[place : place + 8] for place in range(0, 40, 8))

    uids = ("P1", str(one.StudyInstanceUID), str(one.SeriesInstanceUID), str(one.SOPInstanceUID))
    names = {"instance": named(*uids), "study": named(*uids[:2]), "patient": named("P1")}
    assert names["instance"] in running.at_the_archive("/instances")
    return names


def _users(running: Cloud) -> dict[str, dict[str, str]]:
    basic = {user: _basic(user, password_of(user)) for user in ("truck-A", "metrics-A")}
    cookies = "; ".join(f"{c.name}={c.value}" for c in running.session().cookies)
    return {"nobody": {}, READER: {"Cookie": cookies}} | basic


def _basic(user: str, password: str) -> dict[str, str]:
    known = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {known}"}


def _at_the_archive(running: Cloud) -> spellings.Line:
    parts = urlsplit(running.archive.url)
    return spellings.Line(host=parts.hostname, port=parts.port, timeout=20)


def _intrusions(running: Cloud, seed: int, number: int) -> list[str]:
    """Tries so many spellings through nginx; which of them showed or did something."""
    names, users = _identifiers(running), _users(running)
    before, begun = running.at_the_archive("/instances"), starts(running)
    parts = urlsplit(running.url)
    context = ssl.create_default_context(cafile=str(running.authority.file))
    line = spellings.Line(
        spellings.Secured, host=parts.hostname, port=parts.port, context=context, timeout=20
    )
    found, rng = [], random.Random(seed)
    for attempt, _ in zip(spellings.attempts(seed, names), range(number), strict=False):
        user = rng.choice(list(users))
        if spellings.intruded(*line.ask(attempt, users[user])):
            found.append(f"{user} {attempt}")
    line.close()
    if starts(running) != begun or running.at_the_archive("/instances") != before:
        found.append("the archive is another than before")
    return found


def test_no_spelling_of_an_address_gets_behind_the_entrance(running: Cloud) -> None:
    seed = random.randrange(1 << 30)
    assert _intrusions(running, seed, 2500) == [], seed


def test_the_entrance_alone_keeps_them_out(home: Path) -> None:
    """The archive has no guard here."""
    seed = random.randrange(1 << 30)
    archive = {ROOT / "tests" / "support" / "open_cloud.json": "/etc/edge-orthanc/cloud.json"}
    folder = home / "open"
    folder.mkdir()
    with Network() as network, cloud(
        network, folder, Authority(folder, "ca"), ("A",), archive_files=archive
    ) as made:  # fmt: skip
        assert made.at_the_archive("/system", "reader")["ApiVersion"]
        assert _intrusions(made, seed, 1200) == [], seed
        # With neither of the two the same attempts do get in.
        line, found = _at_the_archive(made), 0
        for attempt, _ in zip(spellings.attempts(seed, {}), range(200), strict=False):
            found += spellings.intruded(*line.ask(attempt, _basic("reader", PASSWORD)))
        assert found > 5


def test_the_guard_alone_keeps_them_out(running: Cloud) -> None:
    """The archive is asked past the entrance here, with each of the entrance's own accounts."""
    seed = random.randrange(1 << 30)
    names = _identifiers(running)
    before, begun = running.at_the_archive("/instances"), starts(running)
    line = _at_the_archive(running)
    found, rng = [], random.Random(seed)
    for attempt, _ in zip(spellings.attempts(seed, names), range(2500), strict=False):
        user = rng.choice(["reader", "store", "health", "truck-A"])
        status, body = line.ask(attempt, _basic(user, PASSWORD))
        # Orthanc's version is what its health check asks for.
        if spellings.intruded(status, body) and not (user == "health" and b"ApiVersion" in body):
            found.append(f"{user} {attempt}")
    line.close()
    assert found == [], seed
    assert (starts(running), running.at_the_archive("/instances")) == (begun, before), seed


def test_health_reads_health_alone(running: Cloud) -> None:
    for path, status in (("/system", 200), ("/tools/metrics-prometheus", 200), ("/studies", 403),
                         ("/dicom-web/studies", 403), ("/instances", 403)):  # fmt: skip
        answer = requests.get(f"{running.archive.url}{path}", auth=("health", PASSWORD), timeout=10)
        assert answer.status_code == status, path


# ---- what trucks store


def test_what_is_unsound_is_left_out_and_told_and_the_rest_is_stored(running: Cloud) -> None:
    begun = starts(running)
    study = data_uid()
    good = [image(32, study), image(0, study), image(0, study, pixels=3_000_000)]
    deep, broken = image(63, study), image(0, study)
    files = [
        file_of(good[0]),
        file_of(deep),
        file_of(good[1]),
        file_of(broken)[:-20],
        file_of(good[2]),
    ]
    answer = store(running, files, study=study)
    assert answer.status_code == 202
    assert set(uids_of(answer, "00081199")) == {str(one.SOPInstanceUID) for one in good}
    assert uids_of(answer, "00081198") == {
        str(one.SOPInstanceUID): 0xA900 for one in (deep, broken)
    }
    for depth in (33, 50, 63, 64, 100):
        alone = store(running, [file_of(image(depth, study))])
        assert alone.status_code == 409
        assert set(uids_of(alone, "00081198").values()) == {0xA900}
    assert starts(running) == begun


def test_a_large_file_that_turns_out_unsound_at_its_end_is_never_stored(running: Cloud) -> None:
    large = image(0, pixels=4_000_000)
    raw = file_of(large)
    deep = file_of(image(60))
    tail = deep[deep.index(b"\x08\x00\x40\x11SQ") : deep.index(b"\x08\x00\x60\x00CS")]
    # A data set trailing padding's neighbour: a deep sequence behind the pixels.
    hidden = b"\xfa\xff\xfa\xff" + tail[4:]
    before = running.at_the_archive("/instances")
    answer = store(running, [raw + hidden])
    assert answer.status_code == 409
    assert uids_of(answer, "00081198") == {str(large.SOPInstanceUID): 0xA900}
    assert running.at_the_archive("/instances") == before
    assert store(running, [raw]).status_code == 200


def test_a_trucks_studies_are_its_own(running: Cloud) -> None:
    mine = image()
    study = str(mine.StudyInstanceUID)
    assert store(running, [file_of(mine)]).status_code == 200
    other = store(running, [file_of(image(0, study))], "truck-B")
    assert (other.status_code, list(uids_of(other, "00081198").values())) == (409, [0xA901])
    for path in ("", "/metadata", "/instances"):
        asked = f"/dicom-web/studies/{study}{path}"
        headers = _JSON if path else {}
        assert running.ask("GET", asked, "truck-A", headers=headers).status_code == 200
        assert running.ask("GET", asked, "truck-B", headers=headers).status_code == 404
    for query in ("", f"?StudyInstanceUID={study}", f"?0020000D={study}"):
        found = running.ask("GET", f"/dicom-web/studies{query}", "truck-A", headers=_JSON).json()
        assert study in {one["0020000D"]["Value"][0] for one in found}
        hidden = running.ask("GET", f"/dicom-web/studies{query}", "truck-B", headers=_JSON)
        assert study not in hidden.text
    for path in ("/dicom-web/instances", "/dicom-web/series"):
        assert study not in running.ask("GET", path, "truck-B", headers=_JSON).text


def test_no_mixture_of_its_own_and_anothers_uids_shows_a_truck_anything(running: Cloud) -> None:
    mine, other = image(), image()
    assert store(running, [file_of(mine)]).status_code == 200
    assert store(running, [file_of(other)], "truck-B").status_code == 200
    study, series = str(mine.StudyInstanceUID), str(other.SeriesInstanceUID)
    sop = str(other.SOPInstanceUID)
    shown = []
    for path in (
        f"/series/{series}", f"/series/{series}/metadata", f"/series/{series}/instances",
        f"/series/{series}/instances/{sop}", f"/series/{series}/instances/{sop}/metadata",
        f"/series/{series}/instances/{sop}/frames/1", f"/series/{series}/instances/{sop}/rendered",
        f"/series/{mine.SeriesInstanceUID}/instances/{sop}/metadata",
        f"/series/{mine.SeriesInstanceUID}/instances/{sop}",
        *(f"{search}?{name}={value}" for search in ("/series", "/instances")
          for name in ("StudyInstanceUID", "0020000D", "0020000d")
          for value in ("*", str(other.StudyInstanceUID))),
        f"/instances?SOPInstanceUID={sop}", f"/series?SeriesInstanceUID={series}",
    ):  # fmt: skip
        answer = running.ask("GET", f"/dicom-web/studies/{study}{path}", "truck-A")
        # What is refused may say what was asked for.
        is_search = answer.headers.get("Content-Type", "").startswith("application/dicom+json")
        told = sop.encode() in answer.content or series.encode() in answer.content
        if answer.ok and (told or not is_search):
            shown.append((path, answer.status_code, answer.content[:200]))
    assert shown == []


def test_a_new_study_that_comes_over_many_connections_is_taken_whole(running: Cloud) -> None:
    for _ in range(5):
        study = data_uid()
        files = [file_of(image(0, study)) for _ in range(8)]
        with ThreadPoolExecutor(8) as senders:
            answers = list(senders.map(lambda file: store(running, [file]), files))
        assert [answer.status_code for answer in answers] == [200] * 8


def test_what_was_there_before_the_entrance_is_nobodys(running: Cloud) -> None:
    old = image()
    body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file_of(old) + b"\r\n--b--\r\n"
    requests.post(
        f"{running.archive.url}/dicom-web/studies", data=body, auth=("store", PASSWORD), timeout=10,
        headers={"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'},
    ).raise_for_status()  # fmt: skip
    refused = store(running, [file_of(image(0, str(old.StudyInstanceUID)))])
    assert list(uids_of(refused, "00081198").values()) == [0xA901]


def _destination(running: Cloud, truck: str, folder: Path) -> Stow:
    word = folder / f"{truck}-password"
    word.write_text(password_of(f"truck-{truck}"))
    return Stow(StowSettings.model_validate({
        "kind": "stow", "name": "cloud", "url": f"{running.url}/dicom-web", "user": f"truck-{truck}",
        "password_file": word, "ca_file": running.authority.file, "readback": "orthanc",
        "readback_url": running.url,
    }))  # fmt: skip


def _outgoing(made: Dataset) -> Outgoing:
    raw = file_of(made)
    copy = Copy(
        orthanc_id="", study_uid=str(made.StudyInstanceUID), series_uid=str(made.SeriesInstanceUID),
        sop_uid=str(made.SOPInstanceUID), sop_class=str(made.SOPClassUID), modality="OT",
        transfer_syntax=ExplicitVRLittleEndian, instance_number=None, digest="",
        md5=hashlib.md5(raw, usedforsecurity=False).hexdigest(), size=len(raw),
    )  # fmt: skip
    return Outgoing(copy, memoryview(raw), lambda _: None)


def test_the_router_sends_and_reads_back_by_digest_through_the_entrance(
    running: Cloud, tmp_path: Path
) -> None:
    study = data_uid()
    sent = [_outgoing(image(0, study)) for _ in range(3)]
    destination = _destination(running, "A", tmp_path)
    destination.probe()
    answers = destination.send_together(sent)
    assert set(answers.values()) == {Stored.STORED}
    copies = [one.copy for one in sent]
    found = destination.verify(copies)
    assert set(found.verified.values()) == {VerifiedBy.DIGEST}
    assert len(found.verified) == 3
    other = _destination(running, "B", tmp_path)
    other.probe()
    assert not other.verify(copies).verified
    for one in (destination, other):
        one.close()


def test_only_the_one_question_is_answered_at_its_address(running: Cloud) -> None:
    uid, uids = "StudyInstanceUID", "SOPInstanceUID"
    questions: list[Any] = [
        {}, [], {"Level": "Patient", "Query": {}},
        {"Level": "Instance", "Query": {uid: "*", uids: "*"}},
        {"Level": "Instance", "Query": {uid: "1.2", uids: "1.2", "PatientID": "*"}},
    ]  # fmt: skip
    for question in questions:
        assert running.ask("POST", "/tools/find", "truck-A", json=question).status_code == 400
    assert running.ask("POST", "/tools/find", "metrics-A", json={}).status_code == 403


def test_a_body_that_is_no_multipart_is_refused(running: Cloud) -> None:
    kind = 'multipart/related; type="application/dicom"; boundary=b'
    for content_type, body, status in (
        ("application/dicom", b"x", 415), (kind, b"nothing", 400), (kind, b"--b--\r\n", 400),
        (kind.replace("boundary=b", 'boundary="a\\"'), b"", 415),
    ):  # fmt: skip
        answer = running.ask("POST", "/dicom-web/studies", "truck-A", data=body,
                             headers={"Content-Type": content_type})  # fmt: skip
        assert answer.status_code == status


def test_the_entrance_stays_small_while_large_files_pass(running: Cloud) -> None:
    # Of a mammogram's size.
    large = (
        file_of(image(0, pixels=6_500_000))
        + b"\xfc\xff\xfc\xffOB\0\0"
        + struct.pack("<L", 20_000_000)
    )
    large += bytes(20_000_000)
    for _ in range(8):
        assert store(running, [large]).status_code == 200
    status = subprocess.run(
        ["docker", "exec", running.entrance.id, "cat", "/proc/1/status"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    assert int(peak[1]) / 1024 <= _MOST_RSS_MIB


# ---- signing in


def test_a_reader_signs_in_by_a_form_and_out_again(running: Cloud) -> None:
    session = running.session()
    cookie = next(one for one in session.cookies if one.name == "__Host-edge-session")
    assert cookie.secure
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert str(cookie.get_nonstandard_attr("SameSite")).lower() == "lax"
    page = session.get(f"{running.url}/", timeout=10)
    assert page.text.startswith("<!doctype html>")
    for answer in (page, session.get(f"{running.url}/dicom-web/studies", timeout=10),
                   session.get(f"{running.url}/sign-in", timeout=10)):  # fmt: skip
        assert answer.ok
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        # A private authority signed.
        assert "Strict-Transport-Security" not in answer.headers
    form = session.get(f"{running.url}/sign-out", timeout=10).text
    token = form.partition('name="form" value="')[2].partition('"')[0]
    stolen = {"Cookie": f"__Host-edge-session={cookie.value}"}
    assert running.ask("GET", "/dicom-web/studies", headers=stolen).status_code == 200
    out = session.post(f"{running.url}/sign-out", data={"form": token}, timeout=10,
                       headers={"Origin": running.url}, allow_redirects=False)  # fmt: skip
    assert out.status_code == 303
    assert running.ask("GET", "/dicom-web/studies", headers=stolen).status_code == 401


def test_who_is_not_signed_in_is_sent_to_the_form_and_back(running: Cloud) -> None:
    browser = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none", "Accept": "text/html"}
    answer = running.ask("GET", "/viewer?StudyInstanceUIDs=1.2.3", headers=browser)
    assert answer.status_code == 303
    assert answer.headers["Location"].endswith(
        "/sign-in?next=%2Fviewer%3FStudyInstanceUIDs%3D1.2.3"
    )
    page = running.ask("GET", "/sign-in?next=%2Fviewer%3FStudyInstanceUIDs%3D1.2.3").text
    assert 'value="/viewer?StudyInstanceUIDs=1.2.3"' in page
    for elsewhere in ("//evil.example/", "https://evil.example/", "/\\evil.example", "/sign-out"):
        answer = running.ask("GET", "/sign-in", params={"next": elsewhere})
        assert answer.status_code == 400 or 'name="next" value="/"' in answer.text
    # A page's own requests get no password's window.
    quiet = running.ask("GET", "/dicom-web/studies", headers={"Sec-Fetch-Mode": "cors"})
    assert (quiet.status_code, quiet.headers.get("WWW-Authenticate")) == (401, None)


def test_no_page_of_another_site_does_anything_in_a_readers_name(running: Cloud) -> None:
    session, url = running.session(), running.url
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Origin": "null"}, {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}):  # fmt: skip
        for method, path in (
            ("GET", "/dicom-web/studies"),
            ("POST", "/sign-out"),
            ("POST", "/sign-in"),
        ):
            answer = session.request(method, url + path, headers=headers, timeout=10)
            assert answer.status_code == 403, (headers, path)
    # Without a word on where it comes from, and without the form's token.
    assert session.post(f"{url}/sign-out", timeout=10).status_code == 403
    assert session.post(f"{url}/sign-out", headers={"Origin": url}, timeout=10).status_code == 403
    assert session.get(f"{url}/dicom-web/studies", timeout=10).status_code == 200
    # A link is followed.
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert session.get(f"{url}/viewer?StudyInstanceUIDs=1.2", headers=link, timeout=10).ok


def test_wrong_passwords_cost_time_and_leave_a_line_without_the_password(home: Path) -> None:
    folder = home / "locked"
    folder.mkdir()
    with Network() as network, cloud(network, folder, Authority(folder, "ca")) as made:
        session = requests.Session()
        session.trust_env, session.verify = False, str(made.authority.file)
        tried = [sign_in(session, made.url, READER, f"guess {n}").status_code for n in range(7)]
        assert tried == [401] * 5 + [429] * 2
        assert sign_in(session, made.url, READER, READERS_PASSWORD).status_code == 429
        begun = time.monotonic()
        guesses = [
            made.ask("GET", "/dicom-web/studies", headers={"Authorization": "Basic " + base64.b64encode(
                f"truck-A:guess {number}".encode()).decode()}).status_code
            for number in range(40)
        ]  # fmt: skip
        assert guesses[0] == 401
        assert guesses[-1] == 429
        assert time.monotonic() - begun < 30
        # Nobody locks a truck out by guessing: its password is no guess.
        assert made.ask("GET", "/dicom-web/studies", "truck-A").status_code == 200
        made.ask("GET", "/dicom-web/studies", headers={"Authorization": "Basic " + base64.b64encode(
            b"Canary^Name:hunter2").decode()})  # fmt: skip
        log = subprocess.run(
            ["docker", "logs", made.entrance.id], capture_output=True, check=True
        ).stderr
        lines = [json.loads(line) for line in log.splitlines()]
        wrong = [line for line in lines if line["message"] == "wrong password"]
        assert {line["account"] for line in wrong} == {READER, "truck-A", "unknown"}
        assert max(line["count"] for line in wrong) >= 32
        assert len(wrong) < 25
        for word in (b"guess", b"hunter2", b"Canary", READERS_PASSWORD.encode()):
            assert word not in log
        counted = made.entrance.metric("edge_entrance_wrong_passwords_total")
        assert counted['{account="truck-A"}'] == 40


def test_a_truck_is_revoked_alone_and_at_once(running: Cloud, home: Path) -> None:
    account = home / "accounts" / "trucks" / "B.json"
    kept = account.read_text()
    assert running.ask("GET", "/dicom-web/studies", "truck-B").status_code == 200
    account.unlink()
    try:
        assert running.ask("GET", "/dicom-web/studies", "truck-B").status_code == 401
        assert running.ask("POST", "/api/v1/write", "metrics-B").status_code == 401
        assert running.ask("GET", "/dicom-web/studies", "truck-A").status_code == 200
    finally:
        account.write_text(kept)
        account.chmod(0o644)


def test_a_truck_shows_a_certificate_with_its_own_name_where_that_is_required(home: Path) -> None:
    folder = home / "certificates"
    folder.mkdir()
    authority = Authority(folder, "ca")
    certificates = {name: authority.sign(name, "clientAuth") for name in ("A", "B")}
    with Network() as network, cloud(
        network, folder, authority, ("A", "B"),
        proxy_files={authority.file: "/run/secrets/trucks_ca"}, of_entrance={"TRUCK_CERTIFICATES": "required"},
    ) as made:  # fmt: skip
        for shown, user, status in (
            ("A", "truck-A", 200), ("B", "truck-B", 200), ("B", "truck-A", 401), ("", "truck-A", 401),
        ):  # fmt: skip
            pair = certificates.get(shown)
            cert = cast("Any", (str(pair.file), str(pair.key)) if pair else None)
            answer = made.ask("GET", "/dicom-web/studies", user, cert=cert)
            assert answer.status_code == status, (shown, user)


@pytest.mark.parametrize("public", [False, True])
def test_a_browser_is_bound_to_https_only_where_a_public_authority_signed(
    running: Cloud,
    tmp_path: Path,
    public: bool,  # noqa: FBT001
) -> None:
    """With a private one, a reader whose browser does not know it could not be told to go on."""
    authority = Authority(tmp_path, "ca")
    shown = authority.sign("shown", "serverAuth")
    files = {shown.file: "/run/secrets/cloud_certificate",
             shown.key: "/run/secrets/cloud_certificate_key",
             running.folder / "socket": "/run/entrance"}  # fmt: skip
    if public:
        files[authority.file] = "/etc/ssl/certs/ca-certificates.crt"
    with (
        Network() as network,
        monitoring.running("other-proxy", monitoring.PROXY, network, "/health", of="proxy",
                           ca=authority.file, files=files) as proxy,
    ):  # fmt: skip
        for path, status in (("/sign-in", 200), ("/nowhere", 404)):
            answer = requests.get(f"{proxy.url}{path}", verify=str(authority.file), timeout=30)
            assert answer.status_code == status
            said = answer.headers.get("Strict-Transport-Security")
            assert said == ("max-age=31536000" if public else None), path
