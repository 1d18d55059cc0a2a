"""What a routing rule's policy holds, and what lets it go."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from router.deid import eligibility
from router.records.errors import Code, Hold
from router.rules import rule_policy

CHECKED = eligibility.RELEASES["pixels-checked"].clears


def _image() -> Dataset:
    dataset = Dataset()
    dataset.PixelData = b"\0\0"
    return dataset


def test_what_every_image_goes_under_holds_nothing_more() -> None:
    rule_policy.check(_image(), rule_policy.SHIPPED, ())


def test_an_image_that_a_rule_holds_goes_when_somebody_has_looked_at_it() -> None:
    with pytest.raises(Hold) as raised:
        rule_policy.check(_image(), rule_policy.HOLD, eligibility.RELEASES["retry"].clears)
    assert raised.value.code is Code.HELD_BY_RULE
    rule_policy.check(_image(), rule_policy.HOLD, CHECKED)


def test_a_report_is_not_cleared_by_looking_at_pixels() -> None:
    with pytest.raises(Hold):
        rule_policy.check(Dataset(), rule_policy.HOLD, CHECKED)
