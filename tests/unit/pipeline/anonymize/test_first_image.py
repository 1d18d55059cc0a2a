"""Two images of a study are under way at once; which of them says whose it is, is no matter of chance."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from router.pipeline.anonymize.first_image import FirstImageBarrier

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

FIRST, OTHER = "first", "other"
SOON_S = 30.0
#: Who has not come through by then waits.
WAITS_S = 0.3

STEPS = [FirstImageBarrier.before_key, FirstImageBarrier.before_patient]


def _follower(
    first_image: FirstImageBarrier,
    step: Callable[[FirstImageBarrier, str], AbstractContextManager[None]],
    passed: list[str],
) -> threading.Thread:
    def follow() -> None:
        with step(first_image, OTHER):
            passed.append(OTHER)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("step", STEPS)
def test_another_image_waits_until_the_first_has_passed(
    step: Callable[[FirstImageBarrier, str], AbstractContextManager[None]],
) -> None:
    first_image, passed = FirstImageBarrier(FIRST), list[str]()
    follower = _follower(first_image, step, passed)
    with step(first_image, FIRST):
        follower.join(WAITS_S)
        passed.append(FIRST)
    follower.join(SOON_S)
    assert passed == [FIRST, OTHER]


@pytest.mark.parametrize("step", STEPS)
def test_nobody_waits_for_an_image_that_came_to_its_end(
    step: Callable[[FirstImageBarrier, str], AbstractContextManager[None]],
) -> None:
    first_image, passed = FirstImageBarrier(FIRST), list[str]()
    follower = _follower(first_image, step, passed)
    first_image.finished(OTHER)
    follower.join(WAITS_S)
    assert passed == []
    with pytest.raises(ValueError, match="held"), step(first_image, FIRST):
        raise ValueError("held")
    first_image.finished(FIRST)
    follower.join(SOON_S)
    assert passed == [OTHER]


@pytest.mark.parametrize("step", STEPS)
def test_without_a_leader_nobody_waits(
    step: Callable[[FirstImageBarrier, str], AbstractContextManager[None]],
) -> None:
    passed = list[str]()
    _follower(FirstImageBarrier(), step, passed).join(SOON_S)
    assert passed == [OTHER]
