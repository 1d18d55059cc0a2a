"""Two images of a study are under way at once; which of them says whose it is, is no matter of chance."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from router.pipeline.anonymize.first_image import Leader

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

FIRST, OTHER = "first", "other"
SOON_S = 30.0
#: Who has not come through by then waits.
WAITS_S = 0.3

STEPS = [Leader.before_key, Leader.before_patient]


def _follower(
    leader: Leader, step: Callable[[Leader, str], AbstractContextManager[None]], passed: list[str]
) -> threading.Thread:
    def follow() -> None:
        with step(leader, OTHER):
            passed.append(OTHER)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("step", STEPS)
def test_another_image_waits_until_the_first_has_passed(
    step: Callable[[Leader, str], AbstractContextManager[None]],
) -> None:
    leader, passed = Leader(FIRST), list[str]()
    follower = _follower(leader, step, passed)
    with step(leader, FIRST):
        follower.join(WAITS_S)
        passed.append(FIRST)
    follower.join(SOON_S)
    assert passed == [FIRST, OTHER]


@pytest.mark.parametrize("step", STEPS)
def test_nobody_waits_for_an_image_that_came_to_its_end(
    step: Callable[[Leader, str], AbstractContextManager[None]],
) -> None:
    leader, passed = Leader(FIRST), list[str]()
    follower = _follower(leader, step, passed)
    leader.leaves(OTHER)
    follower.join(WAITS_S)
    assert passed == []
    with pytest.raises(ValueError, match="held"), step(leader, FIRST):
        raise ValueError("held")
    leader.leaves(FIRST)
    follower.join(SOON_S)
    assert passed == [OTHER]


@pytest.mark.parametrize("step", STEPS)
def test_without_a_leader_nobody_waits(
    step: Callable[[Leader, str], AbstractContextManager[None]],
) -> None:
    passed = list[str]()
    _follower(Leader(), step, passed).join(SOON_S)
    assert passed == [OTHER]
