"""A patient who was corrected on the scanner after a delivery: replace."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from router.commands.terminal import FINE, add_reason, show
from router.config.settings import Settings
from router.imaging.rejection_note import Title
from router.journal import Journal
from router.observe.audit import Audit
from router.operator import replacement
from router.operator.decisions import Reason
from router.records.errors import Code, OperatorError

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add

_BECAUSE = {"worklist": Title.WORKLIST, "safety": Title.SAFETY, "quality": Title.QUALITY}


def register(add: Add) -> None:
    """Adds the commands for a study that the scanner has corrected."""
    sub = add(
        "replace", _replace,
        "let a corrected study take the place of the one whose UIDs it has: destinations are told"
        " to reject that first, then the corrected one goes under new UIDs",
    )  # fmt: skip
    sub.add_argument("study", help="the corrected study that is held, or an instance of it")
    sub.add_argument(
        "--because", choices=_BECAUSE, default="worklist",
        help="why the first is rejected: the wrong patient or order was chosen (worklist), it"
        " endangers a patient (safety), or its quality (default: %(default)s)",
    )  # fmt: skip
    sub.add_argument(
        "--list", type=Path, metavar="FILE",
        help="decide nothing: write what each destination must reject as CSV, for an archive that"
        " takes no rejection note",
    )  # fmt: skip
    sub.add_argument(
        "--told", metavar="DESTINATION",
        help="this archive has rejected what is on the list: the corrected study may go there",
    )  # fmt: skip
    add_reason(sub)


def _replace(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    audit, reason = Audit(settings.journal.audit), Reason(asked.by, asked.reason)
    with closing(Journal(settings.journal.path)) as journal:
        if asked.list is not None:
            return _write_list(asked, replacement.rejected(journal, asked.study))
        if asked.told is not None:
            done = replacement.told(journal, audit, asked.study, asked.told, reason, time.time())
            lines = [f"{done.study} goes to {asked.told} now"]
        else:
            title = _BECAUSE[asked.because]
            done = replacement.replace(journal, audit, asked.study, title, reason, time.time())
            lines = [
                f"{done.study} takes the place of {done.replaces}",
                *(f"{name} is told to reject that first" for name in done.destinations),
            ]
    told = {"study": done.study, "replaces": done.replaces, "rejected_at": done.destinations}
    show(asked, told, lines)
    return FINE


def _write_list(asked: argparse.Namespace, text: str) -> int:
    try:
        asked.list.write_text(text, encoding="ascii")
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNWRITABLE, f"{asked.list} cannot be written ({error.strerror})."
        ) from None
    show(asked, {"list": str(asked.list)}, [f"written to {asked.list}"])
    return FINE
