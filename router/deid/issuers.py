"""Who gave a patient her number: one table of issuers a programme, the same on all of its trucks.

Two hospitals can give the same number to two people, and one hospital is written in many ways. The
table says which writings are one issuer, which scanners' images without one are whose, and which
issuer stands in the pseudonyms as if there were none, so that patients who were known before there
was a table stay who they are. Without a table each writing is an issuer of its own.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from router.records.errors import Code, SettingsError

_OID = re.compile(r"(?:urn:oid:)?([0-9]+(?:\.[0-9]+)+)", re.IGNORECASE)


@dataclass(frozen=True)
class Writing:
    """An issuer as an image names it: a local name, a universal id, or both.

    HL7's hierarchic designator (v2.5.1, 2.A.36): ``name^universal id^type``, with ``&`` inside of a
    component.
    """

    name: str
    universal: str

    @classmethod
    def of(cls, text: str) -> Writing:
        """A writing compared without regard to case, white space and the designator's form."""
        parts = [" ".join(part.split()).upper() for part in re.split(r"[\^&]", text)]
        name, universal = (*parts, "")[:2]
        if match := _OID.fullmatch(name):
            name, universal = "", universal or match[1]
        if match := _OID.fullmatch(universal):
            universal = match[1]
        return cls(name, universal)

    def __bool__(self) -> bool:
        return bool(self.name or self.universal)

    def is_same(self, other: Writing) -> bool:
        """Whether two issuers are one: the universal id decides where both have one."""
        if self.universal and other.universal:
            return self.universal == other.universal
        return bool(self.name) and self.name == other.name

    def __str__(self) -> str:
        return "^".join(filter(None, (self.name, self.universal)))


@dataclass(frozen=True)
class Issuer:
    """A row of the table."""

    name: str
    writings: tuple[Writing, ...]
    #: Calling AE titles (``*`` and ``?`` as in file names) whose images without an issuer are its.
    scanners: tuple[str, ...]

    def is_named(self, writing: Writing) -> bool:
        """Whether a writing names this issuer: by its universal id if the table has one, else by name."""
        known = {one.universal for one in self.writings} - {""}
        if writing.universal and known:
            return writing.universal in known
        return any(writing.is_same(one) for one in self.writings)


@dataclass(frozen=True)
class Issuers:
    """The table; empty where a programme has none."""

    rows: tuple[Issuer, ...] = ()
    #: The name of the one that enters pseudonyms as if there were no issuer.
    absent: str = ""

    def __bool__(self) -> bool:
        return bool(self.rows)

    def name(self, text: str) -> str:
        """The one name of an issuer, of any writing of it; empty: the text names none."""
        writing = Writing.of(text)
        for row in self.rows:
            if row.is_named(writing):
                return row.name
        return (str(writing) if self.rows else text.strip()) if writing else ""

    def of_scanner(self, calling: str) -> str:
        """The name of the issuer that images of this AE title have where they name none."""
        for row in self.rows:
            if any(fnmatchcase(calling.upper(), pattern.upper()) for pattern in row.scanners):
                return row.name
        return ""

    def are_same(self, one: str, other: str) -> bool:
        """Whether two texts name one issuer."""
        names = self.name(one), self.name(other)
        listed = {row.name for row in self.rows}
        if names[0] == names[1] or not listed.isdisjoint(names):
            return names[0] == names[1]
        return Writing.of(one).is_same(Writing.of(other))

    def to_json(self) -> str:
        """The table as text, the same for the same table."""
        rows = {
            row.name: [sorted(map(str, row.writings)), sorted(row.scanners)] for row in self.rows
        }
        return json.dumps({"absent": self.absent, "issuers": rows}, sort_keys=True)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits by which people compare the tables of two trucks."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:12]

    def in_pseudonym(self, text: str) -> str:
        """What of an issuer enters the pseudonyms of its patients."""
        name = self.name(text)
        return "" if name == self.absent else name


#: Of a programme that has none.
NO_TABLE = Issuers()


def from_json(text: str) -> Issuers:
    """The table that ``to_json`` wrote."""
    content = json.loads(text)
    rows = tuple(
        Issuer(name, tuple(map(Writing.of, writings)), tuple(scanners))
        for name, (writings, scanners) in content["issuers"].items()
    )
    return Issuers(rows, content["absent"])


def read(text: str, name: str) -> Issuers:
    """The table of a TOML file. Raises SettingsError (SETTINGS_UNREADABLE, SETTINGS_INVALID).

    ``absent = "NAME"`` (may be missing), and for each issuer ``[[issuer]]`` with ``name``, ``also``
    (other writings) and ``scanners``.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(Code.SETTINGS_UNREADABLE, f"{name} is no TOML: {error}.") from None
    try:
        return _table(content)
    except (ValueError, TypeError, KeyError) as error:
        raise SettingsError(Code.SETTINGS_INVALID, f"{name}: {error}.") from None


def _table(content: dict[str, Any]) -> Issuers:
    if surplus := set(content) - {"absent", "issuer"}:
        raise ValueError(f"{sorted(surplus)} is not known")
    rows = tuple(_row(entry) for entry in content["issuer"])
    if not rows:
        raise ValueError("it names no issuer")
    absent = content.get("absent", "")
    if absent and absent not in {row.name for row in rows}:
        raise ValueError(f"absent: {absent} is the name of no issuer")
    for number, row in enumerate(rows):
        for other in rows[:number]:
            if any(other.is_named(writing) for writing in row.writings):
                raise ValueError(f"{other.name} and {row.name} have a writing in common")
    return Issuers(rows, str(absent))


def _row(entry: dict[str, Any]) -> Issuer:
    if surplus := set(entry) - {"name", "also", "scanners"}:
        raise ValueError(f"{sorted(surplus)} is not known")
    name, also, scanners = entry["name"], entry.get("also", []), entry.get("scanners", [])
    texts = [name, *also, *scanners]
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("name, also and scanners are texts that are not empty")
    writings = tuple(Writing.of(text) for text in (name, *also))
    return Issuer(name.strip(), writings, tuple(scanners))
