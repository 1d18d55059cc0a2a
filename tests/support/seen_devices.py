"""Images of many scanners that the journal has seen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from router.imaging import quality
from router.imaging.quality import EXPORTED, Acquisition, Flag, Raised
from router.journal import Journal, Pin
from router.records.instance import Arrival
from tests.support import image_faults

if TYPE_CHECKING:
    from router.records.errors import Code

NOW = 1_000_000.0
SEEN: Acquisition = replace(quality.acquisition(image_faults.clean("MG", "devices")), view="CC")


def see(
    journal: Journal, seen: Acquisition, *flags: Flag, at: float = NOW, code: Code | None = None
) -> None:
    """An image arrives and is looked at. ``code``: why its pixels could not be."""
    number = len(journal.instances.of_study("study"))
    journal.arrivals.take_in([Arrival(f"i{number}", "study", "S")], [], {"study": Pin("a", "k", "p")}, None,
                    at)  # fmt: skip
    unseen = journal.quality.unseen(at)
    assert unseen is not None
    figures = dict.fromkeys(EXPORTED, 2.0)
    journal.quality.enter(unseen, seen, figures, code, [Raised(f, 1, 0) for f in flags], at)


def of(machine: str, modality: str = "MG", view: str = "CC") -> Acquisition:
    return replace(SEEN, machine=machine, modality=modality, view=view)
