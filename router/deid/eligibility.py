"""Which objects may go on at all: those whose content the profile can make safe.

An image can carry text in its pixels, a report or a document carries it in its content; where no
policy (``policies.toml``, and a site's own) says that a kind of object is safe, a person looks at
it first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from router.deid import mask, policies
from router.deid.policies import Facts, Verdict
from router.deid.profile import BASIC
from router.deid.standard import iod
from router.deid.standard.options import Option
from router.dicom import part10
from router.records.errors import Code, Hold

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

    from router.deid.mask import Region
    from router.deid.policies import Kind, Policy
    from router.deid.profile import Profile


class NotCleared(Hold):
    """Hold of an object by a policy. ``kind``: what a decision for good is about, if it can be."""

    def __init__(self, code: Code, sentence: str, kind: Kind | None) -> None:
        super().__init__(code, sentence)
        self.kind = kind


@dataclass(frozen=True)
class Release:
    """A reason under which a person may release a held instance. The gate stays where it is."""

    meaning: str
    #: What the person has answered for.
    clears: frozenset[Code] = frozenset()


#: By name. The empty name stands for the shipped rules, for instances that nobody released.
RELEASES: dict[str, Release] = {
    "": Release("The shipped rules."),
    "retry": Release("What was in the way is mended: try again under the shipped rules."),
    "identity-checked": Release(
        "A person has made sure that the image belongs to the patient whose number it bears.",
        frozenset({Code.IDENTITY_CONFLICT}),
    ),
    "pixels-checked": Release(
        "A person has looked at every frame and found nothing in it that identifies the patient.",
        frozenset(
            {
                Code.BURNED_IN_TEXT,
                Code.SOP_CLASS_NOT_CLEARED,
                Code.HELD_BY_RULE,
                Code.PIXELS_UNDECLARED,
            }
        ),
    ),
    "as-it-is": Release(
        "A person knows that nobody can open the image, and has it delivered all the same.",
        frozenset({Code.PIXELS_UNDECODABLE}),
    ),
}


def released(names: str) -> Release:
    """Conditions of a release under one policy, or under several joined by ``+``."""
    each = [RELEASES[name] for name in names.split("+")]
    return Release(" ".join(r.meaning for r in each), frozenset().union(*(r.clears for r in each)))


#: Kinds of objects that are judged by their content; a picture in one has been looked at by nobody.
_WITHOUT_PIXELS = iod.REPORTS | {"presentation", "document"}


def check(
    dataset: FileDataset,
    release: Release = RELEASES[""],
    rules: tuple[Policy, ...] = policies.SHIPPED,
    chosen: Profile = BASIC,
) -> tuple[Region, ...]:
    """Raises Hold for an object that may not be anonymized and sent.

    ``release``: under what a person sent it on. ``rules``: the policies, the site's own first.
    Returns the regions of its pixels that must be masked.
    """
    _check_encoding(dataset)
    _check_identity(dataset)
    if Code.PIXELS_UNDECLARED not in release.clears:
        _check_overlays(dataset)
    regions: tuple[Region, ...] = ()
    try:
        regions = _policy_of(dataset, rules, chosen)
    except Hold as hold:
        # Only pixels can be cleared by looking at them: a report has to be read by a machine.
        if hold.code not in release.clears or "PixelData" not in dataset:
            raise
    _check_complete(dataset)
    return regions


def _policy_of(
    dataset: FileDataset, rules: tuple[Policy, ...], chosen: Profile
) -> tuple[Region, ...]:
    facts = Facts.of(dataset)
    policy = policies.object_policy(rules, facts, chosen.options)
    if policy.action is Verdict.HOLD:
        kind = policies.kind_of(facts, policy, rules, chosen.options)
        raise NotCleared(policy.code, policy.because, kind)
    if iod.kind_of(str(dataset.get("SOPClassUID", ""))) in _WITHOUT_PIXELS and any(
        tag in dataset for tag in part10.PIXEL_TAGS
    ):
        raise Hold(Code.BURNED_IN_TEXT, "it has pixels, which its class knows nothing of")
    if policy.action is Verdict.SAFE:
        return ()
    if Option.CLEAN_PIXELS not in chosen.options:
        raise Hold(Code.BURNED_IN_TEXT, "its policy masks pixels, and 113101 is not chosen")
    mask.layout(dataset)  # raises where it cannot be masked
    return policy.regions


def _check_encoding(dataset: FileDataset) -> None:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_private or not syntax.is_transfer_syntax:
        raise Hold(Code.ENCODING_NOT_CLEARED, "its transfer syntax is not one of the standard's")


def _check_overlays(dataset: FileDataset) -> None:
    """Raises Hold: an overlay in the unused bits of the pixels (retired) would stay when its group goes."""
    for group in range(0x6000, 0x6020, 2):
        position = dataset.get((group, 0x0102))
        lowest = (group, 0x3000) not in dataset and _lowest_bit_is_free(dataset)
        if position is not None and (position.value or lowest):
            raise Hold(Code.PIXELS_UNDECLARED, "an overlay lies in their unused bits")


def _lowest_bit_is_free(dataset: Dataset) -> bool:
    high, stored = dataset.get("HighBit"), dataset.get("BitsStored")
    return isinstance(high, int) and isinstance(stored, int) and high + 1 > stored


def _check_complete(dataset: FileDataset) -> None:
    """Raises Hold where a transfer broke off: Orthanc stores it with fewer pixels than declared."""
    native = part10.native_pixel_bytes(dataset)
    if native is None:
        return
    if part10.present_pixel_bytes(dataset) < native:
        raise Hold(Code.UNREADABLE, "it has fewer pixels than its header says")


def _check_identity(dataset: Dataset) -> None:
    if not str(dataset.get("PatientID", "") or "").strip():
        raise Hold(Code.NO_PATIENT_ID, "PatientID is empty or missing")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        # Also one that breaks the rules of PS3.5 (too long, letters): it is replaced anyway.
        value = dataset.get(keyword)
        if not isinstance(value, str | None) or not (value or "").strip(" \0"):
            raise Hold(Code.NO_UID, f"{keyword} is missing, or there are several")
