"""Whose a study is: the key, the issuer and the correction that its pseudonyms are made under.

A study has one patient. The first image whose copy becomes known says who she is; nobody waits for
an image that says more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.deid.planning.identity import identity_of
from router.deid.pseudonyms import Key, StudyIssuer
from router.truck.orthanc import instance_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

    from router.journal import Journal
    from router.records.instance import Instance

#: Studies without a copy whose first image is remembered.
_REMEMBERED = 512


@dataclass(frozen=True)
class _Choice:
    key: Key
    #: The issuer that enters the pseudonym, and the one that was named.
    used: str
    said: str


class PatientKeys:
    """Thread-safe."""

    def __init__(self, journal: Journal, keys: Mapping[str, Key]) -> None:
        """``keys``: by id, the current one first."""
        self._journal = journal
        self._keys = keys
        self._lock = threading.Lock()
        #: Of studies that have no copy yet, what their first image has chosen.
        self._chosen: dict[str, _Choice] = {}

    def key(self, instance: Instance, dataset: Dataset, pinned: Key) -> Key:
        """What the pseudonyms of an image are made under.

        ``pinned``: the key that its study was begun with. A patient who is known under an older one
        keeps it.
        """
        said = str(dataset.get("IssuerOfPatientID", "") or "").strip()
        with self._lock:
            choice = self._choice(instance, dataset, pinned, said)
        correction = self._journal.corrections.number(instance.study)
        return replace(choice.key, study=StudyIssuer(said, choice.used), correction=correction)

    def _choice(self, instance: Instance, dataset: Dataset, pinned: Key, said: str) -> _Choice:
        known = self._journal.people.of_study(instance.study)
        if known is not None:
            self._chosen.pop(instance.study, None)
            return _Choice(self._keys.get(known.key_id, pinned), known.issuer, known.said)
        chosen = self._chosen.get(instance.study)
        if chosen is None:
            chosen = self._chosen_by(instance, dataset, pinned, said)
            if len(self._chosen) >= _REMEMBERED:
                self._chosen.clear()
            self._chosen[instance.study] = chosen
        elif said and chosen.said and not pinned.issuers.are_same(said, chosen.said):
            # Which of the two is known first decides, and the other is held.
            return self._chosen_by(instance, dataset, chosen.key, said)
        return chosen

    def _chosen_by(self, instance: Instance, dataset: Dataset, pinned: Key, said: str) -> _Choice:
        named = said or pinned.issuers.of_scanner(instance.origin)
        used = self._begun_under(instance, dataset, pinned, named)
        if used is None:
            used = pinned.issuers.in_pseudonym(named)
        key = self._older_key(dataset, pinned, StudyIssuer(said, used)) or pinned
        if key is not pinned:
            self._journal.studies.pin_key(instance.study, key.id)
        return _Choice(key, used, named)

    def _begun_under(
        self, instance: Instance, dataset: Dataset, pinned: Key, named: str
    ) -> str | None:
        """The issuer of a study whose copies were made before studies had one patient.

        It is found by trying: their ids are made of the pseudonym.
        """
        copies = [
            i.copy for i in self._journal.instances.of_study(instance.study) if i.copy is not None
        ]
        if not copies:
            return None
        number = str(dataset.get("PatientID", "") or "")
        copy = copies[0]
        for used in dict.fromkeys([named.strip(), "", *self._journal.people.issuers()]):
            key = replace(pinned, study=StudyIssuer("", used))
            patient = pseudonyms.patient(key, "", number)
            if copy.orthanc_id == instance_id(
                patient, copy.study_uid, copy.series_uid, copy.sop_uid
            ):
                return used
        return None

    def _older_key(self, dataset: Dataset, pinned: Key, issuer: StudyIssuer) -> Key | None:
        if pinned.id != next(iter(self._keys)):
            return None  # begun with an older one
        for key in self._keys.values():
            pseudonym = identity_of(dataset, replace(key, study=issuer)).pseudonym
            if self._journal.people.knows(pseudonym, key.id):
                return key
        return None
