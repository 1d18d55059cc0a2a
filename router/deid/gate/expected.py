"""What the copy of an original must be: whose, where, and declared how."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.deid.profile import BASIC, Profile
from router.deid.standard import tags
from router.deid.standard.options import Option

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataset import Dataset

    from router.deid.mask import Region
    from router.deid.pseudonyms import Key


@dataclass(frozen=True)
class Expected:
    """What the copy must be. UIDs are the pseudonymous ones."""

    patient: str
    accession: str
    study_id: str
    #: What StationName must be; empty: what it was (113109).
    station: str
    study_uid: str
    series_uid: str
    sop_uid: str
    key: Key
    profile: Profile
    #: By how many days its dates are moved.
    days: int
    #: Where its pixels must be masked.
    regions: tuple[Region, ...] = ()

    @classmethod
    def of(
        cls, original: Dataset, key: Key, station: str, chosen: Profile = BASIC,
        regions: tuple[Region, ...] = (),
    ) -> Expected:  # fmt: skip
        """What the copy of this original must be. ``station``: the truck's name."""

        def text(keyword: str) -> str:
            return str(original.get(keyword, "") or "").strip()

        accession, study_id = text("AccessionNumber"), text("StudyID")
        issuer, patient_id = text("IssuerOfPatientID"), text("PatientID")
        keeps_station = Option.DEVICE_IDENTITY in chosen.options and text("StationName")
        return cls(
            patient=pseudonyms.patient(key, issuer, patient_id),
            accession=pseudonyms.accession(key, accession) if accession else "",
            study_id=pseudonyms.study_id(key, study_id) if study_id else "",
            station="" if keeps_station else station,
            study_uid=pseudonyms.uid(key, text("StudyInstanceUID")),
            series_uid=pseudonyms.uid(key, text("SeriesInstanceUID")),
            sop_uid=pseudonyms.uid(key, text("SOPInstanceUID")),
            key=key,
            profile=chosen,
            days=pseudonyms.shift_days(key, issuer, patient_id),
            regions=regions,
        )

    def for_capture(self, series_uid: str, sop_uid: str) -> Expected:
        """The same patient and study, another series and instance."""
        return replace(self, series_uid=series_uid, sop_uid=sop_uid, regions=())

    @cached_property
    def own(self) -> Mapping[int, str]:
        """The values that the router sets at the top level of every object, by tag."""
        own = {
            tags.PATIENT_NAME: self.patient,
            tags.PATIENT_ID: self.patient,
            tags.ACCESSION_NUMBER: self.accession,
            tags.STUDY_ID: self.study_id,
            tags.STUDY_UID: self.study_uid,
            tags.SERIES_UID: self.series_uid,
            tags.SOP_UID: self.sop_uid,
            tags.IDENTITY_REMOVED: "YES",
            tags.METHOD_TEXT: self.profile.method(pixels_cleaned=bool(self.regions)),
            tags.TIME_MODIFIED: "MODIFIED" if self.profile.shifts else "REMOVED",
        }
        if self.station:
            own[tags.STATION_NAME] = self.station
        if self.regions:
            own[tags.BURNED_IN] = "NO"
        return {int(tag): value for tag, value in own.items()}

    @property
    def codes(self) -> list[str]:
        """What (0012,0064) must declare, in order."""
        return list(self.profile.codes(pixels_cleaned=bool(self.regions)))
