"""Back to the patient: who stands behind a pseudonym, and what happens to the attributes of a file."""

from __future__ import annotations

import io
import re
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

from router.commands.terminal import FINE, add_reason, note, show
from router.config.settings import Settings
from router.deid import eligibility, explain
from router.dicom import part10
from router.imaging.worker_process import HeaderCheck
from router.journal import Journal
from router.observe.audit import Audit
from router.records.errors import Code, Hold, OperatorError
from router.truck.spool import MemoryBody, Spool

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add

#: What Orthanc calls an instance: a SHA-1 in groups.
_INSTANCE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


def register(add: Add) -> None:
    """Adds the commands that know who a patient is."""
    sub = add(
        "reidentify", _reidentify,
        "the patient behind a pseudonym, for the person who must call her back; audited",
    )  # fmt: skip
    sub.add_argument("pseudonym", help="a pseudonymous Patient ID (P…) or accession number (A…)")
    add_reason(sub)
    sub = add(
        "explain", _explain, "what the profile does with each attribute of a DICOM file, and why"
    )
    sub.add_argument(
        "file", help="a DICOM file as the scanner sends it, - for standard input, or an instance"
        " of the truck, as held names it",
    )  # fmt: skip


def _reidentify(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    entry = {"action": "reidentify", "pseudonym": asked.pseudonym, "by": asked.by,
             "reason": asked.reason}  # fmt: skip
    # Before the answer, and whatever the answer is: what cannot be recorded is not told.
    Audit(settings.journal.audit).record(time.time(), entry)
    with closing(Journal(settings.journal.path)) as journal:
        person = journal.people.person(asked.pseudonym.strip())
    if person is None:
        raise OperatorError(
            Code.NOT_IN_JOURNAL, f"No patient of this truck has the pseudonym {asked.pseudonym}."
        )
    told = {**person.values, "pseudonym": person.pseudonym, "accessions": dict(person.accessions)}
    lines = [
        f"Patient ID      {person.values['patient_id']}",
        f"Issuer          {person.values['issuer'] or '-'}",
        f"Name            {person.values['name']}",
        f"Born            {person.values['birth_date'] or '-'}",
        f"Sex             {person.values['sex'] or '-'}",
        f"Pseudonym       {person.pseudonym}",
        *(
            f"Accession       {number} (sent as {sent})"
            for sent, number in person.accessions.items()
        ),
    ]
    show(asked, told, lines)
    return FINE


def _explain(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    content = _content(asked.file, settings)
    with MemoryBody(content) as body, closing(HeaderCheck(Spool(Path(gettempdir())))) as headers:
        headers.is_plain(body)  # this process shares its memory with the running router
    dataset = part10.read(io.BytesIO(content))
    chosen = settings.profile()
    verdict = "It may leave the truck, if the gate finds nothing."
    try:
        regions = eligibility.check(dataset, rules=settings.policies(), chosen=chosen)
    except Hold as hold:
        regions, verdict = (), f"It is held: {hold.code}: {hold.sentence}"
    rows = explain.rows(
        dataset, settings.keys()[0], settings.truck.id, chosen, masked=bool(regions)
    )
    lines = [
        f"{row.path:<40} {row.name:<36} {row.action:<9} {row.why}; the gate asks for {row.gate}"
        for row in rows
    ]
    show(
        asked,
        {"profile": chosen.id, "verdict": verdict, "masked": [vars(r) for r in regions],
         "attributes": [row._asdict() for row in rows]},
        [f"Profile {chosen.id}", verdict, *lines],
    )  # fmt: skip
    return FINE


def _content(name: str, settings: Settings) -> bytes:
    """The bytes of a file, of standard input, or of an instance of the truck.

    Raises OperatorError (FILE_UNREADABLE), OrthancError.
    """
    if name == "-":
        return sys.stdin.buffer.read()
    if _INSTANCE.fullmatch(name) and not Path(name).exists():
        # The service's parts are loaded for the commands that use them only.
        from router.app import orthanc_of  # noqa: PLC0415

        with (
            closing(orthanc_of(settings, Spool(settings.journal.spool))) as orthanc,
            orthanc.file(name) as body,
        ):
            return bytes(body.view)
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNREADABLE, f"{name} cannot be read ({error.strerror})."
        ) from None
