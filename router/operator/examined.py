"""Whose examination an image is of, when, and made by what: for the truck's own screen, nobody else.

A person who decides about a held image has to find it on the scanner. The truck's Orthanc tells of
the original; where it is gone, the journal tells whose it was.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from router.records.errors import OrthancError, ResourceMissing
from router.records.instance import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from router.journal import Held, Journal
    from router.records.instance import Instance
    from router.truck.orthanc import TruckOrthanc


class Examined:
    """Tells of held images."""

    def __init__(self, journal: Journal, orthanc: TruckOrthanc) -> None:
        self._journal = journal
        self._orthanc = orthanc
        self._reachable = True

    def sides(self, held: Held) -> tuple[dict[str, str], dict[str, str] | None]:
        """Whose a held image is, and what it conflicts with; ``None``: it is held for itself."""
        own = self._of(held.instance)
        side = self._journal.conflicts.of(held.instance.orthanc_id)
        if side is None:
            return own, None
        own |= _named(side.said)
        if side.other is not None and side.other_study is not None:
            return own, self._of_other(side.other, side.other_study)
        person = self._journal.people.person(side.pseudonym or "")
        return own, _named(person.values) if person else {}

    def _of_other(self, name: str, study: str) -> dict[str, str]:
        for instance in self._journal.instances.of_study(study):
            if instance.orthanc_id == name:
                return {**self._of(instance), "instance": name}
        return {"instance": name}

    def _of(self, instance: Instance) -> dict[str, str]:
        study = self._journal.studies.get(instance.study)
        shown = {"study": study.alias, "arrived": _moment(study.received_at)} if study else {}
        patient = self._journal.people.of_study(instance.study)
        person = self._journal.people.person(patient.pseudonym) if patient else None
        if instance.copy is not None:
            shown["modality"] = instance.copy.modality
        if person is not None:
            shown |= _named(person.values)
        return shown | self._told_by_orthanc(self._original(instance))

    def _original(self, instance: Instance) -> str:
        """Of what the router made: an image of its study."""
        if instance.role is Role.SOURCE:
            return instance.orthanc_id
        sources = (
            i for i in self._journal.instances.of_study(instance.study) if i.role is Role.SOURCE
        )
        return next((source.orthanc_id for source in sources), instance.orthanc_id)

    def _told_by_orthanc(self, instance: str) -> dict[str, str]:
        if not self._reachable:
            return {}
        try:
            return self._orthanc.examination(instance)
        except OrthancError as error:
            self._reachable = isinstance(error, ResourceMissing)
            return {}


_NAMED = ("patient_id", "issuer", "name", "birth_date", "sex")


def _named(values: Mapping[str, str]) -> dict[str, str]:
    return {field: values[field] for field in _NAMED if values.get(field)}


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def line(shown: Mapping[str, str]) -> str:
    """What is known of an examination in one line."""
    born = f"born {shown['birth_date']}" if shown.get("birth_date") else ""
    number = f"number {shown['patient_id']}" if shown.get("patient_id") else "no number"
    issuer = f"of {shown['issuer']}" if shown.get("issuer") else ""
    place = " ".join(
        f"{word} {shown[field]}"
        for word, field in (("series", "series"), ("image", "image"))
        if shown.get(field)
    )
    patient = [shown.get("name") or "no name", born, shown.get("sex", ""), f"{number} {issuer}"]
    made = [
        " ".join(filter(None, (shown.get("date"), shown.get("time")))), shown.get("modality", ""),
        shown.get("description", ""), place,
    ]  # fmt: skip
    if not shown.get("date"):
        made.append(f"arrived {shown['arrived']}" if "arrived" in shown else "")
    parts = (", ".join(filter(None, (one.strip() for one in side))) for side in (patient, made))
    return "; ".join(filter(None, parts))
