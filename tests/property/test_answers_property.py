"""Every answer that a destination may give, against what the standards say of its class."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.destinations import statuses
from router.destinations.base import Stored
from router.destinations.peer_words import WORDS, peer_words
from router.destinations.stow_answers import send_outcome
from router.records.errors import (
    Code,
    DeliveryDeferred,
    EdgeRouterError,
    Hold,
    StoreRefused,
    SyntaxRefused,
)

UID, OTHER = "2.25.1", "2.25.2"

#: Of RFC 9110 and the IANA registry: what speaks of who asks, of the place, of the moment.
WHO = {401, 402, 403, 407, 511}
PLACE = {404, 405, 410, 421, 426, 501, 505}
MOMENT = {408, 423, 425, 429, 500, 502, 503, 504, 507}
#: PS3.4 B.2.3 and PS3.7 annex C: failures that lie in the data set or its class.
DATA_SET = {0x0105, 0x0106, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121, 0x0122}
WARNINGS = {0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)}
#: dcm4chee: the note of rejection is there already; the object was rejected.
REJECTED = {0xA770, 0xA771}


def _item(uid: str, **more: Any) -> dict[str, Any]:
    return {"00081155": {"vr": "UI", "Value": [uid]}, **more}


def _response(**sequences: list[dict[str, Any]]) -> bytes:
    return json.dumps(
        {tag[1:]: {"vr": "SQ", "Value": items} for tag, items in sequences.items()}
    ).encode()


def _failed(uid: str, reason: int | None) -> bytes:
    more = {} if reason is None else {"00081197": {"vr": "US", "Value": [reason]}}
    return _response(_00081198=[_item(uid, **more)])


#: None of these says anything of the instance.
SILENT = st.one_of(
    st.sampled_from([b"", b"{}", b"[]", b"null", b"[[]]", b"<html><title>Oops</title></html>"]),
    st.binary(max_size=60),
    st.just(_response(_00081199=[_item(OTHER)])),
    st.just(_failed(OTHER, 0xA900)),
)
CODES = st.integers(400, 599)


def _outcome(status: int, body: bytes, *, alone: bool = True) -> Stored | EdgeRouterError:
    try:
        return send_outcome(status, body, None, UID, alone=alone)
    except EdgeRouterError as error:
        return error


def _dimse(status: int) -> Stored | EdgeRouterError:
    try:
        return statuses.store_outcome(status)
    except EdgeRouterError as error:
        return error


@given(status=CODES, body=SILENT, alone=st.booleans())
@settings(max_examples=400, deadline=None)
def test_an_http_status_without_a_word_is_taken_by_its_class(
    status: int, body: bytes, *, alone: bool
) -> None:
    found = _outcome(status, body, alone=alone)
    assert isinstance(found, EdgeRouterError), "an error is no success"
    if status >= 500 or status in WHO | PLACE | MOMENT:
        # 5xx: the server knows that it has erred; nothing is said of the request.
        assert isinstance(found, StoreRefused)
    elif not alone:
        # Nobody knows which of them is meant.
        assert isinstance(found, StoreRefused | DeliveryDeferred)
    elif status == 413:
        assert isinstance(found, Hold)
    elif status == 415:
        assert isinstance(found, SyntaxRefused)
    else:
        # Any other 4xx is as 400: no single answer of it is final.
        assert isinstance(found, StoreRefused | DeliveryDeferred)


@pytest.mark.parametrize("status", range(400, 600))
def test_every_single_code_is_final_for_one_image_only_where_its_size_or_syntax_is_meant(
    status: int,
) -> None:
    found = _outcome(status, b"")
    assert isinstance(found, Hold) == (status == 413)
    assert isinstance(found, SyntaxRefused) == (status == 415)


@given(status=st.integers(200, 599), alone=st.booleans(), warned=st.booleans())
@settings(deadline=None)
def test_what_the_body_says_is_stored_is_stored_whatever_the_status(
    status: int, *, alone: bool, warned: bool
) -> None:
    more = {"00081196": {"vr": "US", "Value": [0xB000]}} if warned else {}
    body = _response(_00081199=[_item(OTHER), _item(UID, **more)])
    assert _outcome(status, body, alone=alone) is (Stored.COERCED if warned else Stored.STORED)


@given(
    status=st.integers(200, 599),
    reason=st.one_of(st.none(), st.integers(0, 0xFFFF)),
    alone=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_what_the_body_says_has_failed_is_not_stored_whatever_the_reason(
    status: int, reason: int | None, *, alone: bool
) -> None:
    found = _outcome(status, _failed(UID, reason), alone=alone)
    if reason in {0x0111, 0xB00E}:
        assert found is Stored.DUPLICATE
        return
    assert isinstance(found, EdgeRouterError)
    final = reason is not None and (reason in DATA_SET | REJECTED or reason >> 8 == 0xA9)
    assert isinstance(found, Hold) == final


def test_every_dimse_status_is_taken_by_its_class() -> None:
    """All 65,536 of them."""
    for status in range(0x10000):
        found = _dimse(status)
        if status == 0x0000:
            assert found is Stored.STORED
        elif status in WARNINGS:
            assert found is Stored.COERCED
        elif status == 0x0111:
            assert found is Stored.DUPLICATE
        elif status in DATA_SET | REJECTED or status >> 8 == 0xA9:
            assert isinstance(found, Hold), f"{status:04X}"
        elif status >> 8 == 0xA7 or status in {0x0124, 0x0211, 0x0213}:
            assert isinstance(found, StoreRefused), f"{status:04X}"
        elif status == 0xC122:
            assert isinstance(found, SyntaxRefused)
        else:
            # Processing failure, cannot understand, and what no list has: may mend.
            assert isinstance(found, DeliveryDeferred), f"{status:04X}"
            assert found.code is Code.DESTINATION_ANSWER_UNCLEAR


@given(
    name=st.text(st.characters(categories=["Lu", "Ll", "Nd"]), min_size=4, max_size=20),
    form=st.sampled_from(
        [
            "patient {0} not found",
            "<p>{0}</p>",
            '{{"error": "{0}"}}',
            "{0}^{0}",
            "quota of {0} full",
        ]
    ),
)
@settings(deadline=None)
def test_no_text_of_a_peer_is_told_but_words_of_the_list(name: str, form: str) -> None:
    text = form.format(name)
    kept = peer_words(text).split()
    allowed = {"patient", "not", "found", "error", "quota", "full"}
    assert set(kept) <= allowed | set(peer_words(name).split())
    error = _outcome(400, text.encode())
    assert isinstance(error, DeliveryDeferred)
    said = error.sentence.removeprefix("HTTP 400").strip(" ()").split()
    assert set(said) <= WORDS
