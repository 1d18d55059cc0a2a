"""The plan: what Orthanc is told to do with one instance, attribute by attribute.

Orthanc's own anonymization leaves gaps (nested names, overlays, elements of VR UN) and draws new
UIDs each time. So the plan names every attribute at every depth that the profile acts on, with the
value it gets; the same instance, key and profile always give the same plan, and so the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from router.deid import pseudonyms
from router.deid.planning.actions import Action
from router.deid.planning.attributes import PATHS, decisions
from router.deid.planning.identity import identity_of
from router.deid.profile import BASIC
from router.deid.standard import tags
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.options import MEANINGS, Option

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

    from router.deid.planning.attributes import Json
    from router.deid.profile import Profile
    from router.deid.pseudonyms import Key


@dataclass(frozen=True)
class Plan:
    """The body for ``POST /instances/{id}/anonymize``. Keys are paths: ``0008-1140[0].0008-1155``."""

    replace: dict[str, Json] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    #: What stays of what Orthanc's own profile would act on; only at the top level it does.
    keep: list[str] = field(default_factory=list)
    #: Some private attributes stay; all others are in ``remove``.
    keep_private: bool = False

    def body(self) -> dict[str, object]:
        """What is posted to Orthanc."""
        body: dict[str, object] = {"Force": True, "Replace": self.replace, "Remove": self.remove}
        if self.keep:
            body["Keep"] = self.keep
        if self.keep_private:
            body["KeepPrivateTags"] = True
        return body


def make(
    dataset: Dataset, key: Key, station: str, chosen: Profile = BASIC, *, masked: bool = False
) -> Plan:
    """The plan for one instance. ``station`` is what StationName becomes (the truck's id).

    ``dataset``: fresh from the file. Once a value of it was asked for, nobody knows any more
    whether it was sent as UN.

    ``masked``: regions of its pixels will be masked, which is declared.

    Raises Hold (NESTING_TOO_DEEP, ENCODING_NOT_CLEARED).
    """
    plan = Plan()
    keeps_private = False
    for decision in decisions(dataset, key, chosen, told=False):
        if decision.value is not None:
            plan.replace[decision.path] = decision.value
        elif decision.action is Action.REMOVE:
            plan.remove.append(decision.path)
        else:
            keeps_private |= decision.tag.is_private
            if "[" not in decision.path and (decision.tag in TABLE or decision.vr == "SQ"):
                plan.keep.append(decision.path)
    _plan_own(plan, own_values(dataset, key, station, chosen, masked=masked))
    return Plan(plan.replace, plan.remove, plan.keep, keeps_private)


def own_values(
    dataset: Dataset, key: Key, station: str, chosen: Profile, *, masked: bool = False
) -> dict[BaseTag, Json]:
    """What the router sets in every object, whatever was there."""
    identity = identity_of(dataset, key)
    study_id = str(dataset.get("StudyID", "") or "").strip()
    codes = chosen.codes(pixels_cleaned=masked)
    own: dict[BaseTag, Json] = {
        tags.PATIENT_NAME: identity.pseudonym,
        tags.PATIENT_ID: identity.pseudonym,
        tags.ACCESSION_NUMBER: identity.accession_pseudonym,
        tags.STUDY_ID: pseudonyms.study_id(key, study_id) if study_id else "",
        tags.STATION_NAME: station,
        tags.STUDY_UID: pseudonyms.uid(key, str(dataset.StudyInstanceUID)),
        tags.SERIES_UID: pseudonyms.uid(key, str(dataset.SeriesInstanceUID)),
        tags.SOP_UID: pseudonyms.uid(key, str(dataset.SOPInstanceUID)),
        tags.IDENTITY_REMOVED: "YES",
        tags.METHOD_TEXT: chosen.method(pixels_cleaned=masked),
        tags.METHOD_SEQUENCE: [
            {"CodeValue": code, "CodingSchemeDesignator": "DCM",
             "CodeMeaning": MEANINGS[code]}
            for code in codes
        ],
        tags.TIME_MODIFIED: "MODIFIED" if chosen.shifts else "REMOVED",
    }  # fmt: skip
    if masked:
        own[tags.BURNED_IN] = "NO"
    if Option.DEVICE_IDENTITY in chosen.options and dataset.get("StationName"):
        del own[tags.STATION_NAME]  # the scanner's own name stays
    return own


def _plan_own(plan: Plan, own: dict[BaseTag, Json]) -> None:
    for tag, value in own.items():
        path = PATHS[tag]
        plan.replace[path] = value
        # A (0012,0064) of the source names what others did; its items are replaced as a whole.
        for inner in [key for key in plan.replace if key.startswith(f"{path}[")]:
            del plan.replace[inner]
        plan.remove[:] = [p for p in plan.remove if p != path and not p.startswith(f"{path}[")]
        if path in plan.keep:
            plan.keep.remove(path)
