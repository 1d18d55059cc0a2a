"""The proof of delivery: manifest, verify-manifest."""

from __future__ import annotations

import sys
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from router.commands.terminal import ATTENTION, FINE, note, show, user
from router.config.settings import Settings
from router.journal import Journal
from router.observe.audit import Audit
from router.operator import decisions, manifest
from router.records.errors import Code, OperatorError, SettingsError

if TYPE_CHECKING:
    import argparse

    from router.commands.terminal import Add
    from router.operator.manifest import Manifest

_STANDARD = "-"


def register(add: Add) -> None:
    """Adds the commands about the proof of delivery."""
    sub = add("manifest", _manifest, "write the sealed proof of delivery of a study into a file")
    sub.add_argument("study", help="a study, as status names it")
    sub.add_argument("-o", "--output", required=True, help='a file; "-": standard output')
    sub = add("verify-manifest", _verify, "say whether a manifest is genuine, and what it proves")
    sub.add_argument("file", help='the file; "-": standard input')


def _manifest(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    # A method of the settings, no dictionary.
    keys = {key.id: key for key in settings.keys()}  # noqa: SIM118
    now = time.time()
    with closing(Journal(settings.journal.path)) as journal:
        study = decisions.find_study(journal, asked.study)
        if study.key_id not in keys:
            raise SettingsError(
                Code.KEY_UNKNOWN,
                f"The study was begun with the key {study.key_id}: add its file to deid.key_files.",
            )
        text = manifest.make(
            keys[study.key_id], settings.truck.id, study.alias,
            journal.instances.of_study(study.orthanc_id), journal.outbox.of_study(study.orthanc_id), now,
        )  # fmt: skip
    # It leaves the truck: what cannot be recorded is not done.
    Audit(settings.journal.audit).record(
        now, {"action": asked.action, "study": study.alias, "by": user()}
    )
    made = manifest.check(text, keys)
    if asked.output == _STANDARD:
        sys.stdout.write(text)
    else:
        _write(Path(asked.output), text)
        show(asked, asdict(made) | {"file": asked.output}, [asked.output, _sentence(made)])
    return FINE if made.complete else ATTENTION


def _verify(asked: argparse.Namespace) -> int:
    settings = Settings.load(asked.config)
    note(settings, asked)
    keys = {key.id: key for key in settings.keys()}  # noqa: SIM118
    found = manifest.check(_read(asked.file), keys)
    show(asked, asdict(found) | {"genuine": True}, ["genuine", _sentence(found)])
    return FINE if found.complete else ATTENTION


def _sentence(made: Manifest) -> str:
    state = "complete" if made.complete else "not complete"
    rejected = f"; rejected at {', '.join(made.rejected_at)}" if made.rejected_at else ""
    return (
        f"study {made.study} of {made.truck}, {made.made_at}: {made.verified} of {made.entries} "
        f"deliveries of {made.instances} instances verified, {made.left_out} left out, "
        f"{made.given_up} given up at single destinations; {state}{rejected}"
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="ascii")
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNWRITABLE, f"{path} cannot be written ({error.strerror})."
        ) from None


def _read(name: str) -> str:
    if name == _STANDARD:
        return sys.stdin.read()
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise OperatorError(
            Code.FILE_UNREADABLE, f"{name} cannot be read ({error.strerror})."
        ) from None
    except UnicodeDecodeError:
        raise OperatorError(Code.MANIFEST_UNREADABLE, "The file is no manifest.") from None
