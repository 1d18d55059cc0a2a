"""Which key and profile a study was begun with, and which key an image's pseudonyms are made under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from router.deid.profile import BASIC, Profile
from router.pipeline.patient_key import PatientKeys
from router.records.errors import Code, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import FileDataset

    from router.deid.pseudonyms import Key
    from router.journal import Journal
    from router.records.instance import Instance
    from router.records.study import Study


class StudyKeys:
    """Keys and profiles that studies are pinned to, whatever the settings say now. Thread-safe."""

    def __init__(self, journal: Journal, keys: Mapping[str, Key]) -> None:
        """``keys``: by id, the current one first."""
        self._journal = journal
        self._keys = keys
        self._patient_keys = PatientKeys(journal, keys)
        self._profiles: dict[str, Profile] = {}

    def key(self, study: Study) -> Key:
        """The key that the study was begun with. Raises SettingsError (KEY_UNKNOWN)."""
        key = self._keys.get(study.key_id)
        if key is None:
            raise SettingsError(
                Code.KEY_UNKNOWN,
                f"The key {study.key_id!r} that a study was begun with is missing.",
            )
        return key

    def key_of_patient(self, instance: Instance, dataset: FileDataset, pinned: Key) -> Key:
        """The key with all that the pseudonyms of the image's study are made under."""
        return self._patient_keys.key(instance, dataset, pinned)

    def profile(self, study: Study) -> Profile:
        """The profile that the study was taken in with."""
        if study.profile_id not in self._profiles:
            definition = self._journal.profiles.definition(study.profile_id)
            # Studies of the first release were pinned to a name; it had no options.
            self._profiles[study.profile_id] = (
                Profile.from_json(definition) if definition else BASIC
            )
        return self._profiles[study.profile_id]
