"""Private attributes that are known to identify no one (PS3.15 E.3.10), by their creator.

``safe_private.csv`` ships with the program; a site adds its own lines in a file of the same
columns. Only numbers and codes can be listed: text in a private attribute is never safe.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from router.records.errors import Code, SettingsError

#: VRs in which nobody can write a name.
_HARMLESS = frozenset({"CS", "DS", "IS", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"})
_COLUMNS = ["creator", "group", "element", "vr", "meaning"]
_LAST_BLOCK = 0xFF


@dataclass(frozen=True, order=True)
class SafeElement:
    """One attribute of a private block."""

    creator: str
    group: int
    #: The last two digits of its element number.
    element: int
    vr: str

    def to_text(self) -> str:
        """The attribute as a line of a profile."""
        return f"{self.creator}|{self.group:04x}|{self.element:02x}|{self.vr}"

    @classmethod
    def parse(cls, text: str) -> SafeElement:
        """The attribute that ``to_text`` wrote."""
        creator, group, element, vr = text.rsplit("|", 3)
        return cls(creator, int(group, 16), int(element, 16), vr)


def read(text: str, name: str) -> frozenset[SafeElement]:
    """The elements of a CSV file. Raises SettingsError (SETTINGS_INVALID) with the line."""
    reader = csv.DictReader(text.splitlines())
    if reader.fieldnames != _COLUMNS:
        raise SettingsError(
            Code.SETTINGS_INVALID, f"{name} must begin with the line {','.join(_COLUMNS)}."
        )
    found = set()
    for line in reader:
        try:
            element = SafeElement(
                line["creator"].strip(), int(line["group"], 16), int(line["element"], 16),
                line["vr"].strip(),
            )  # fmt: skip
        except (TypeError, ValueError, AttributeError):
            raise _wrong(name, reader.line_num, "it is no attribute") from None
        if element.vr not in _HARMLESS:
            raise _wrong(name, reader.line_num, f"VR {element.vr} can hold text")
        if not (element.creator and element.group % 2 and 0 <= element.element <= _LAST_BLOCK):
            raise _wrong(name, reader.line_num, "it is no private attribute")
        found.add(element)
    return frozenset(found)


def _wrong(name: str, line: int, why: str) -> SettingsError:
    return SettingsError(Code.SETTINGS_INVALID, f"{name}, line {line}: {why}.")


SHIPPED = read(
    resources.files(__package__).joinpath("safe_private.csv").read_text(encoding="ascii"),
    "safe_private.csv",
)
