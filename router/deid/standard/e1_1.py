"""Table E.1-1 of PS3.15 (as of January 2025): what becomes of an attribute, row by row.

``table_e1_1.csv`` is the table: one row an attribute, one column the Basic Profile, one column each
option. Actions are the standard's letters: X remove, Z zero length, D dummy, U new UID, K keep,
C clean; "X/Z/D" leaves the choice to the IOD (``iod``).
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from router.deid.standard.options import Option

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Row:
    """One row of Table E.1-1."""

    name: str
    #: The Basic Profile's letters as the standard prints them.
    basic: str
    #: The letter of each option that has one.
    options: Mapping[Option, str]

    @property
    def is_code(self) -> bool:
        """Whether it is a sequence of codes, for which there is a dummy."""
        return self.name.endswith("Code Sequence")


# In this order: the date of a device's calibration is a date first.
_COLUMNS = {
    "modified_dates": Option.MODIFIED_DATES,
    "device": Option.DEVICE_IDENTITY,
    "patient": Option.PATIENT_CHARACTERISTICS,
    "descriptors": Option.CLEAN_DESCRIPTORS,
    "structured": Option.CLEAN_STRUCTURED,
    "graphics": Option.CLEAN_GRAPHICS,
}


def _read_table() -> dict[int, Row]:
    text = resources.files(__package__).joinpath("table_e1_1.csv").read_text(encoding="ascii")
    return {
        int(line["tag"], 16): Row(
            line["name"],
            line["basic"],
            {option: line[column] for column, option in _COLUMNS.items() if line[column]},
        )
        for line in csv.DictReader(text.splitlines())
        # The four rows with patterns (private, curves, overlays) are rules of their own.
        if "X" not in line["tag"] and line["tag"] != "private"
    }


#: Tag → row, for the attributes that the table names one by one.
TABLE: Mapping[int, Row] = _read_table()
