"""The scanner's door: what is a request, what is a message, who may call, who has a place."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pynetdicom import AE, build_context
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.pdu_primitives import ImplementationClassUIDNotification as ClassUid

from door import callers, pdus
from door.figures import Reason
from door.places import Places
from door.progress import Progress
from door.settings import Limits, Settings, SettingsFault
from tests.support.door import request
from tests.support.orthancs import ROOT

if TYPE_CHECKING:
    from pathlib import Path


def by_pynetdicom() -> bytes:
    """An A-ASSOCIATE-RQ that another program wrote."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title = "SCANNER"
    primitive.called_ae_title = "EDGETRUCK"
    contexts = [build_context(f"1.2.840.10008.5.1.4.1.1.{n}") for n in range(1, 129)]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    uid = ClassUid()
    uid.implementation_class_uid = AE().implementation_class_uid
    primitive.user_information = [length, uid]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded


def answer_by_pynetdicom(results: dict[int, int]) -> bytes:
    """An A-ASSOCIATE-AC that another program wrote, with a result for each context."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = "SCANNER", "EDGETRUCK"
    primitive.result, primitive.result_source = 0, 1
    contexts = [build_context("1.2.840.10008.1.1", "1.2.840.10008.1.2") for _ in results]
    for context, (number, result) in zip(contexts, results.items(), strict=True):
        context.context_id, context.result = number, result
    primitive.presentation_context_definition_results_list = contexts
    length = MaximumLengthNotification()
    length.maximum_length_received = 16382
    uid = ClassUid()
    uid.implementation_class_uid = AE().implementation_class_uid
    primitive.user_information = [length, uid]
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(primitive)
    encoded: bytes = pdu.encode()
    return encoded


@given(
    results=st.dictionaries(
        st.integers(0, 127).map(lambda n: 2 * n + 1), st.sampled_from([0, 1, 2, 3, 4]), min_size=1
    ),
    refused=st.frozensets(st.integers(0, 127).map(lambda n: 2 * n + 1)),
)
@hypothesis_settings(deadline=None)
def test_what_is_not_served_is_refused_and_nothing_else_of_the_answer_changes(
    results: dict[int, int], refused: frozenset[int]
) -> None:
    answer = answer_by_pynetdicom(results)
    assert pdus.answer_length(answer[:6]) == len(answer)
    changed = pdus.refuse_contexts(answer, refused)
    read = A_ASSOCIATE_AC()
    read.decode(changed)
    told = {context.context_id: context.result for context in read.presentation_context}
    assert told == {number: 3 if number in refused else was for number, was in results.items()}
    differ = sum(before != after for before, after in zip(answer, changed, strict=True))
    assert differ == sum(number in refused and was != 3 for number, was in results.items())


# --- requests ---------------------------------------------------------------------------------


def test_the_request_of_another_program_is_understood() -> None:
    said = pdus.request(by_pynetdicom())
    assert (said.calling, said.called, said.contexts) == ("SCANNER", "EDGETRUCK", 128)
    assert said.rejection is None


@given(st.integers(0, 5000))
def test_a_request_that_breaks_off_is_never_whole(at: int) -> None:
    whole = request(contexts=3)
    part = whole[: at % len(whole)]
    length = pdus.request_length(part)
    assert length is None or length == len(whole)
    with pytest.raises(pdus.Malformed):
        pdus.request(part)


@given(st.data())
def test_whatever_is_in_a_request_it_is_understood_or_malformed(data: st.DataObject) -> None:
    changed = bytearray(request(contexts=2))
    for _ in range(data.draw(st.integers(1, 6))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        said = pdus.request(bytes(changed))
    except pdus.Malformed:
        return
    assert said.calling.isprintable()
    assert 1 <= said.contexts <= 128


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        struct.pack(">BxL", 4, 100),
        struct.pack(">BxL", 1, 0),
        struct.pack(">BxL", 1, 0xFFFFFFFF),
    ],
    ids=["http", "tls", "another PDU", "no length", "4 GiB"],
)
def test_what_can_be_no_request_is_known_by_its_first_bytes(wrong: bytes) -> None:
    with pytest.raises(pdus.Malformed):
        pdus.request_length(wrong)


@pytest.mark.parametrize(
    "wrong",
    [request(contexts=0), request(contexts=129), request(calling=b"A\\B"), request(b"A\x01B")],
    ids=["no contexts", "too many", "backslash", "control character"],
)
def test_a_whole_request_may_still_be_none(wrong: bytes) -> None:
    with pytest.raises(pdus.Malformed):
        pdus.request(wrong)


def test_what_nobody_could_accept_is_rejected_by_its_own_reason() -> None:
    version = pdus.request(request(version=2)).rejection
    assert version == pdus.PROTOCOL_VERSION_NOT_SUPPORTED
    name = pdus.request(request(context_name=b"1.2.3")).rejection
    assert name == pdus.APPLICATION_CONTEXT_NOT_SUPPORTED
    assert pdus.CALLING_AE_NOT_RECOGNIZED.pdu() == bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 3])


# --- messages ---------------------------------------------------------------------------------


def data_pdu(*fragments: tuple[int, bytes]) -> bytes:
    """A P-DATA-TF of (message control header, bytes) pairs."""
    body = b"".join(
        struct.pack(">LBB", len(value) + 2, 1, control) + value for control, value in fragments
    )
    return struct.pack(">BxL", pdus.Kind.DATA, len(body)) + body


RELEASE = struct.pack(">BxLL", pdus.Kind.RELEASE_RQ, 4, 0)

messages = st.lists(
    st.lists(st.binary(max_size=40), min_size=1, max_size=4), min_size=1, max_size=5
)


@given(messages, st.lists(st.integers(1, 30), min_size=1), st.booleans())
def test_between_messages_and_only_there_a_caller_may_be_silent(
    sent: list[list[bytes]], cuts: list[int], together: bool,  # noqa: FBT001
) -> None:  # fmt: skip
    stream = pdus.Stream()
    for fragments in sent:
        controls = [0] * (len(fragments) - 1) + [2]
        pairs = list(zip(controls, fragments, strict=True))
        whole = data_pdu(*pairs) if together else b"".join(data_pdu(pair) for pair in pairs)
        at, turn = 0, 0
        while at < len(whole):
            step = cuts[turn % len(cuts)]
            stream.feed(whole[at : at + step])
            at, turn = at + step, turn + 1
            assert stream.busy is (at < len(whole))
    stream.feed(RELEASE)
    assert not stream.busy


@given(st.binary(min_size=1, max_size=200))
def test_garbage_in_an_association_is_malformed_or_waits(garbage: bytes) -> None:
    stream = pdus.Stream()
    try:
        stream.feed(garbage)
    except pdus.Malformed:
        return
    assert stream.busy or stream.released or garbage[:1] == b"\x04"


def test_a_pdu_of_four_gigabytes_is_none() -> None:
    with pytest.raises(pdus.Malformed):
        pdus.Stream().feed(struct.pack(">BxL", 4, 0xFFFFFFFF))


# --- progress ---------------------------------------------------------------------------------

LIMITS = Limits(idle_s=90, answer_s=300, progress_s=30, progress_bytes=16384)


def test_a_scanner_may_rest_between_its_images_and_not_for_ever() -> None:
    progress = Progress(LIMITS, 0.0)
    progress.went(1.0)
    assert progress.fault(60.0) is None
    assert progress.rests(60.0) == 59.0
    assert progress.fault(92.0) == "IDLE"


def test_a_message_that_drips_is_ended_and_a_slow_one_is_not() -> None:
    start = data_pdu((0, b"x" * 100))
    dripping, slow = Progress(LIMITS, 0.0), Progress(LIMITS, 0.0)
    for progress in (dripping, slow):
        progress.went(0.0)
        progress.came(start, 0.0)
    faults = []
    for second in range(1, 120):
        dripping.came(data_pdu((0, b"x")), second)
        slow.came(data_pdu((0, b"x" * 1000)), second)
        faults.append((dripping.fault(second), slow.fault(second)))
    assert (Reason.STALLED, None) in faults[:31]
    assert all(slow_fault is None for _, slow_fault in faults)


def test_a_scanner_is_not_blamed_while_orthanc_takes_nothing() -> None:
    progress = Progress(LIMITS, 0.0)
    progress.went(0.0)
    progress.came(data_pdu((0, b"x" * 100)), 0.0)
    progress.held = True
    assert progress.fault(200.0) is None
    assert progress.fault(301.0) == "NO_ANSWER"


# --- who may call -----------------------------------------------------------------------------


def test_the_shipped_modalities_are_read_as_orthanc_reads_them() -> None:
    text = (ROOT / "orthanc" / "modalities.json").read_text()
    assert callers.modalities(text, {}) == [callers.Modality("SCANNER", "127.0.0.1")]
    told = {"SCANNER_AET": "mammo1", "SCANNER_HOST": "10.0.0.7"}
    assert callers.modalities(text, told) == [callers.Modality("MAMMO1", "10.0.0.7")]


def test_both_notations_are_read_and_who_may_not_store_is_left_out() -> None:
    text = """{"DicomModalities": { /* two */ "a": ["ONE", "h//st", 104],
      "b": {"AET": "TWO", "Host": "10.0.0.2", "AllowStore": false}}}"""
    assert callers.modalities(text, {}) == [callers.Modality("ONE", "h//st")]


@pytest.mark.parametrize("text", ["", "{", "{}", '{"DicomModalities": {"a": 1}}', "[]"])
def test_a_list_that_cannot_be_read_is_said(text: str) -> None:
    with pytest.raises(callers.Unusable):
        callers.modalities(text, {})


def register(*, check_host: bool) -> callers.Register:
    listed = [callers.Modality("SCANNER", "10.0.0.1"), callers.Modality("SCANNER", "10.0.0.2")]
    return callers.Register("EDGETRUCK", listed, check_host=check_host)


@pytest.mark.parametrize(
    ("called", "calling", "address", "rejection"),
    [
        ("EDGETRUCK", "SCANNER", "10.0.0.2", None),
        ("edgetruck", "scanner", "10.0.0.1", None),
        ("EDGETRUCK", "SCANNER", "10.0.0.3", pdus.CALLING_AE_NOT_RECOGNIZED),
        ("EDGETRUCK", "OTHER", "10.0.0.1", pdus.CALLING_AE_NOT_RECOGNIZED),
        ("EDGETRUCK", "", "10.0.0.1", pdus.CALLING_AE_NOT_RECOGNIZED),
        ("ORTHANC", "SCANNER", "10.0.0.1", pdus.CALLED_AE_NOT_RECOGNIZED),
    ],
)
def test_a_caller_is_known_by_its_ae_title_and_its_address(
    called: str, calling: str, address: str, rejection: pdus.Rejection | None
) -> None:
    assert register(check_host=True).decide(called, calling, address) == rejection


def test_the_address_counts_only_where_it_is_to_be_checked() -> None:
    assert register(check_host=False).decide("EDGETRUCK", "SCANNER", "10.9.9.9") is None
    unknown = register(check_host=False).decide("EDGETRUCK", "OTHER", "10.0.0.1")
    assert unknown == pdus.CALLING_AE_NOT_RECOGNIZED


def test_an_address_has_one_spelling() -> None:
    assert callers.plain("::ffff:10.0.0.1") == "10.0.0.1"
    assert callers.plain("fe80::1%eth0") == "fe80::1"


def test_the_list_of_callers_survives_a_restart_and_stays_short(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    listed = callers.Callers(path)
    assert listed.note("SCANNER", "EDGETRUCK", "10.0.0.1", "", 1.0)
    for number in range(1000):
        listed.note(f"FORGED{number}", "EDGETRUCK", "10.0.0.9", "UNKNOWN_CALLER", 2.0 + number)
    assert not listed.note("SCANNER", "EDGETRUCK", "10.0.0.1", "", 5000.0)
    listed.save()
    said = json.loads(path.read_text())["callers"]
    assert len(said) == callers.MOST_CALLERS
    again = callers.Callers(path)
    assert not again.note("SCANNER", "EDGETRUCK", "10.0.0.1", "UNKNOWN_CALLER", 6000.0)
    again.save()
    known = [c for c in json.loads(path.read_text())["callers"] if c["calling"] == "SCANNER"]
    assert [(c["accepted"], c["refused"], c["first_at"]) for c in known] == [(2, 1, 1.0)]


def test_a_list_that_is_damaged_is_begun_again(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    path.write_text('{"callers": [{"calling": 1}]}')
    listed = callers.Callers(path)
    assert listed.unknown() == 0


# --- places -----------------------------------------------------------------------------------


class Guest:
    def __init__(self, address: str) -> None:
        self.address = address


@given(st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "10.0.0.3"]), max_size=40))
def test_nobody_takes_the_places_of_another_address(order: list[str]) -> None:
    places: Places[Guest] = Places(most=8, most_each=3)
    for address in order:
        crowd = places.crowd(address)
        if crowd:
            places.leave(crowd[0])
        places.take(Guest(address))
        assert not places.crowd("10.9.9.9") or len(places) == 8
        counts = [sum(g.address == a for g in places.all()) for a in set(order)]
        assert max(counts) <= 3
        assert len(places) <= 8


# --- settings ---------------------------------------------------------------------------------


def test_a_fault_of_the_settings_names_its_variable() -> None:
    with pytest.raises(SettingsFault, match="DOOR_PORT"):
        Settings.load({"DOOR_PORT": "dicom"})
    with pytest.raises(SettingsFault, match="DOOR_TLS"):
        Settings.load({"DOOR_TLS_CERTIFICATE": "/nowhere"})
    assert Settings.load({}).tls is None
