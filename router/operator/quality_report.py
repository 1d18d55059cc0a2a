"""What the radiographer should look at before the patient leaves. Never a state, never "repeat"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from router.imaging import quality
from router.imaging.quality import LOOK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.imaging.quality import Acquisition
    from router.journal import Journal
    from router.records.study import Study

#: More studies do not come within these hours; what is on its way is looked at in any case.
_NEWEST = 500
#: Studies that arrived longer ago are not listed: their patients have left.
RECENT_S = 12 * 3600.0
_UNKNOWN: dict[str, Any] = {"modality": "", "view": "", "series": 0, "image": 0}
#: Of a study: where none of it is there, there is nothing to look at, and that is known.
_TO_BE_TOLD = ("look_at", "missing_views", "patient", "left_out", "unseen")
#: Of a study that went on as a known patient's, though something of her is written otherwise.
TOLD = (
    "her {} is not the one that is known of her number (all else agrees): it goes on as one person."
    " If she is another: correct the Patient ID on the scanner, send the study again, and see held"
)


def of_study(journal: Journal, study: Study, expected: Sequence[str]) -> dict[str, Any]:
    """What was seen of a study: its flagged images, and the views that are not there (yet).

    ``expected``: the protocol's views; an exception for this patient goes before it.
    """
    shown = journal.quality.shown(study.orthanc_id)
    flags = journal.quality.flags(study.orthanc_id)
    own = journal.quality.expected(study.orthanc_id)
    described = {one.instance: _image(one.acquisition) for one in shown}
    return {
        "seen": len(shown),
        "look_at": [
            # Of what cannot even be read no more is known than that it is there.
            described.get(instance, _UNKNOWN)
            | {
                "flags": [
                    {"flag": f.flag, "why": LOOK[f.flag], "value": f.value, "limit": f.limit}
                    for f in raised
                ]
            }
            for instance, raised in flags.items()
        ],
        # Orthanc's own id, for the truck's screen: of such an image nothing else is known.
        "left_out": [
            {"instance": instance, "code": code}
            for instance, code in journal.quality.left_out(study.orthanc_id).items()
            if instance not in flags
        ],
        "unseen": journal.quality.count_unseen(study.orthanc_id),
        "missing_views": quality.missing_views(shown, expected if own is None else own),
        "patient": [TOLD.format(one.field) for one in journal.people.likely(study.orthanc_id)],
    }


def recent(
    journal: Journal, expected: Sequence[str], now: float, study: str | None = None
) -> list[dict[str, Any]]:
    """The studies of the last hours with something to tell; ``study``: only that alias."""
    rows = []
    for one in journal.studies.all(_NEWEST):
        if one.received_at < now - RECENT_S or study not in {None, one.alias}:
            continue
        found = of_study(journal, one, expected)
        if any(found[what] for what in _TO_BE_TOLD):
            rows.append({"study": one.alias, "state": one.state, **found})
    return rows


def count_missing(journal: Journal, expected: Sequence[str], now: float) -> int:
    """Recent studies that the scanner has finished with and that lack an expected view."""
    missing = 0
    for study, shown in journal.quality.arrived_since(now - RECENT_S, quality.BREAST).items():
        own = journal.quality.expected(study)
        missing += bool(quality.missing_views(shown, expected if own is None else own))
    return missing


def _image(acquisition: Acquisition) -> dict[str, Any]:
    """Where a person finds an image; nothing that tells who it shows."""
    view = "" if acquisition.view in {"none", "OTHER"} else acquisition.view
    return {
        "modality": acquisition.modality,
        "view": "-".join(filter(None, (acquisition.side, view))),
        "series": acquisition.series_number,
        "image": acquisition.image_number,
    }
