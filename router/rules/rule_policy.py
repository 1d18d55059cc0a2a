"""The policies that a routing rule can choose, beyond what eligibility asks of every object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from collections.abc import Container

    from pydicom.dataset import Dataset

SHIPPED = "shipped"
HOLD = "hold"

#: Name → what it does. None of them answers for what a person has to look at.
RULE_POLICIES: dict[str, str] = {
    SHIPPED: "the shipped policies, and the site's own",
    HOLD: "held until a person has looked at it",
}


def check(dataset: Dataset, policy: str, answered_for: Container[Code]) -> None:
    """Raises Hold (HELD_BY_RULE) for what the policy holds.

    ``policy``: a name of RULE_POLICIES. ``answered_for``: codes that a person has cleared; only
    pixels can be cleared by looking at them.
    """
    looked_at = Code.HELD_BY_RULE in answered_for and "PixelData" in dataset
    if policy == HOLD and not looked_at:
        raise Hold(Code.HELD_BY_RULE, "its rule has the policy hold")
