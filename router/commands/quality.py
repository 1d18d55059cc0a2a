"""What the radiographer looks at before the patient leaves: check-now, expect. And at what: devices."""

from __future__ import annotations

import argparse
import re
import time
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from router.commands.terminal import ATTENTION, FINE, add_reason, note, show
from router.config.settings import Settings
from router.imaging.quality.public_names import public
from router.journal import Journal
from router.observe.audit import Audit
from router.operator import decisions, quality_report

if TYPE_CHECKING:
    from router.commands.terminal import Add

_VIEW = re.compile(r"[LR]-[A-Z]{2,4}")


def register(add: Add) -> None:
    """Adds the commands about what was seen of images."""
    sub = add("check-now", _check_now, "the images to look at before the patient leaves")
    sub.add_argument("study", nargs="?", help="only this study, as status names it")
    sub = add("expect", _expect, "say which views are expected of one patient")
    sub.add_argument("study", help="a study, as status names it")
    sub.add_argument(
        "views", type=_views, help='such as R-CC,R-MLO after a mastectomy; "none": no view'
    )
    add_reason(sub)
    add("devices", _devices, "the truck's scanners, by the names that the fleet knows")


def _devices(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    with closing(Journal(settings.journal.path)) as journal:
        found = journal.quality.all_devices()
    digest = settings.keys()[0].digest
    rows, lines = [], []
    for one in found:
        shown = public(one, digest)
        names = [shown.manufacturer, shown.model, shown.software]
        rows.append(asdict(one) | {"shown_as": names})
        last = datetime.fromtimestamp(one.seen_at, UTC)
        lines += [
            (
                f"{one.name}  {one.manufacturer} {one.model}, software {one.software or 'unknown'};"
                f" {one.images} images, the last {last:%Y-%m-%d %H:%M} UTC"
            ),
            f"  in metrics: {', '.join(filter(None, names)) or 'nothing'}",
        ]
    show(asked, {"devices": rows}, lines or ["no image has come yet"])
    return FINE


def _views(text: str) -> list[str]:
    if text == "none":
        return []
    views = text.upper().split(",")
    if not all(_VIEW.fullmatch(view) for view in views):
        message = "views are written as R-CC,L-MLO"
        raise argparse.ArgumentTypeError(message)
    return views


def _check_now(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    with closing(Journal(settings.journal.path)) as journal:
        rows = quality_report.recent(
            journal, settings.quality.expected_views, time.time(), asked.study
        )
        for row in rows:
            row["both_writings"] = _both_writings(journal, row["study"])
    lines = [line for row in rows for line in _lines(row)]
    images = sum(len(row["look_at"]) for row in rows)
    show(
        asked,
        {"studies": rows},
        [*lines, f"images to look at before the patient leaves: {images}"]
        if rows
        else ["nothing to look at"],
    )
    return ATTENTION if rows else FINE


def _both_writings(journal: Journal, study: str) -> list[dict[str, str]]:
    """For the truck's own screen: what was known of a patient, and what the study says of her."""
    found = []
    for likely in journal.people.likely(decisions.find_study(journal, study).orthanc_id):
        person = journal.people.person(likely.pseudonym)
        known = person.values.get(likely.field, "") if person else ""
        found.append({"known": known, "said": likely.said.get(likely.field, "")})
    return found


def _lines(row: dict[str, Any]) -> list[str]:
    lines = [f"{row['study']}  {row['seen']} images seen"]
    for image in row["look_at"]:
        name = " ".join(filter(None, (image["modality"], image["view"]))) or "unknown"
        lines += [
            f"  {name}, series {image['series']} image {image['image']}:"
            f" {flag['why']} ({flag['flag']} {flag['value']:.4g}, limit {flag['limit']:.4g})"
            for flag in image["flags"]
        ]
    for sentence, both in zip(row["patient"], row["both_writings"], strict=True):
        lines.append(f"  patient: {sentence} (known: {both['known']}; here: {both['said']})")
    lines += [
        f"  could not be looked at: instance {one['instance']} ({one['code']})"
        for one in row["left_out"]
    ]
    if row["unseen"]:
        lines.append(f"  not looked at yet: {row['unseen']}")
    if row["missing_views"]:
        lines.append(f"  expected and not there: {', '.join(row['missing_views'])}")
    return lines


def _expect(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    with closing(Journal(settings.journal.path)) as journal:
        study = decisions.find_study(journal, asked.study)
        Audit(settings.journal.audit).record(
            time.time(),
            {"action": asked.action, "study": study.alias, "views": ",".join(asked.views),
             "by": asked.by, "reason": asked.reason},
        )  # fmt: skip
        journal.quality.expect(study.orthanc_id, asked.views)
    shown = ", ".join(asked.views) or "no view"
    show(asked, {"study": study.alias, "views": asked.views}, [f"expected: {shown}"])
    return FINE
