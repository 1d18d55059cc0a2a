"""What the gate needs of originals, kept from the copy to the capture that is made of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from router.deid import gate
from router.deid.standard.options import Option
from router.dicom import part10

if TYPE_CHECKING:
    from typing import TypeAlias

    from pydicom.dataset import FileDataset

    from router.deid.mask import Region
    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key
    from router.pipeline.keys import StudyKeys
    from router.records.instance import Instance
    from router.truck.orthanc import TruckOrthanc

    #: What a copy must hold, and what it must not.
    Identifiers: TypeAlias = tuple[gate.Expected, gate.Traces]

#: Originals whose identifiers are kept in memory until their study is analysed.
_REMEMBERED = 512


class Originals:
    """Reads what the gate needs of originals, and remembers it. Thread-safe."""

    def __init__(
        self, orthanc: TruckOrthanc, keys: StudyKeys, station: str, harmless: frozenset[str]
    ) -> None:
        """``station``: the truck's id, which copies bear.

        ``harmless``: words that identify no one: names equal to them are not looked for word by
        word.
        """
        self._orthanc = orthanc
        self._keys = keys
        self._station = station
        self._harmless = harmless
        self._remembered: dict[str, Identifiers] = {}
        self._lock = threading.Lock()

    def remember(
        self, instance: Instance, original: FileDataset, key: Key, profile: Profile,
        regions: tuple[Region, ...] = (),
    ) -> Identifiers:  # fmt: skip
        """What the gate needs of an original, kept for its capture: saves fetching it again."""
        known = (
            gate.Expected.of(original, key, self._station, profile, regions),
            gate.Traces.of(
                original,
                self._station,
                harmless=self._harmless,
                keeps_device=Option.DEVICE_IDENTITY in profile.options,
            ),
        )
        with self._lock:
            if len(self._remembered) >= _REMEMBERED:
                self._remembered.pop(next(iter(self._remembered)))
            self._remembered[instance.orthanc_id] = known
        return known

    def remembered(self, instance: Instance, key: Key, profile: Profile) -> Identifiers:
        """The same of an instance that was anonymized before; fetched again where it was dropped.

        Raises OrthancError, Hold.
        """
        known = self._remembered.get(instance.orthanc_id)
        if known is not None:
            return known
        with self._orthanc.file(instance.orthanc_id) as original:
            dataset = part10.read(original.stream())
            key = self._keys.key_of_patient(instance, dataset, key)
            return self.remember(instance, dataset, key, profile)
