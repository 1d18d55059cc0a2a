"""Retry-After: seconds or a date, by the server's own clock."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.destinations.retry_after import retry_after_s

NOW = 1_790_000_000.0


@given(seconds=st.integers(0, 10**9))
def test_seconds_are_seconds(seconds: int) -> None:
    assert retry_after_s({"Retry-After": f" {seconds} "}, NOW) == seconds


@given(wait=st.integers(0, 10**6), wrong=st.integers(-(10**8), 10**8))
def test_a_date_counts_from_the_servers_own_clock_however_wrong(wait: int, wrong: int) -> None:
    there = NOW + wrong
    headers = {
        "Date": formatdate(there, usegmt=True),
        "Retry-After": formatdate(there + wait, usegmt=True),
    }
    assert retry_after_s(headers, NOW) == wait


def test_without_the_servers_date_ours_is_taken() -> None:
    headers = {"Retry-After": formatdate(NOW + 90, usegmt=True)}
    assert retry_after_s(headers, NOW) == 90
    assert retry_after_s({**headers, "Date": "yesterday"}, NOW) == 90


def test_a_date_that_is_past_is_now() -> None:
    assert retry_after_s({"Retry-After": formatdate(NOW - 90, usegmt=True)}, NOW) == 0.0


def test_a_date_of_another_zone_is_the_same_moment() -> None:
    date = format_datetime(datetime.fromtimestamp(NOW + 60, UTC))
    assert retry_after_s({"Retry-After": date}, NOW) == 60


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "9" * 400, "Wed, 99 Foo 2020", "١٢"])
def test_what_cannot_be_read_says_nothing(value: str) -> None:
    assert retry_after_s({"Retry-After": value}, NOW) is None
    assert retry_after_s({}, NOW) is None
