"""What stands behind a link in its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.link.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.close()
