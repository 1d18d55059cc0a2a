"""An original and its copy, judged by the gate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import gate, pseudonyms
from router.deid.planning import plan
from tests.support import apply_plan, data

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydicom.dataset import FileDataset

    Mutation = Callable[[FileDataset, FileDataset], None]

KEY = pseudonyms.Key("test", bytes(range(32)))
STATION = "truck-1"


@dataclass(frozen=True)
class Pair:
    """An original and its copy, as files."""

    original: bytes
    copy: bytes

    def check(self) -> None:
        original = apply_plan.read(self.original)
        copy = apply_plan.read(self.copy)
        expected = gate.Expected.of(original, KEY, STATION)
        traces = gate.Traces.of(original)
        gate.check_copy(
            original, memoryview(self.original), copy, memoryview(self.copy), expected, traces
        )

    def mutated(self, mutation: Mutation) -> Pair:
        """The same pair with one fault planted into the copy."""
        copy = apply_plan.read(self.copy)
        mutation(copy, apply_plan.read(self.original))
        return Pair(self.original, apply_plan.to_bytes(copy))


def pair_of(dataset: FileDataset) -> Pair:
    """The pair with the copy that a faultless Orthanc makes."""
    original = data.file_bytes(dataset)
    made = plan.make(apply_plan.read(original), KEY, STATION)
    return Pair(original, apply_plan.apply(original, made))
