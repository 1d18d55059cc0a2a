"""A case: what was reported, what should happen, and how it is looked whether it does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cases.scene import Scene


@dataclass(frozen=True)
class Case:
    """One report."""

    name: str
    #: What should happen.
    expect: str
    #: Where people reported it.
    source: str
    run: Callable[[Scene], None]
    #: Why it does not count yet; empty: it does.
    later: str = ""
