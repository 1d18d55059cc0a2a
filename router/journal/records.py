"""Between the rows of the journal and the records of ``router.records.study``."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from router.records.copies import Copy
from router.records.errors import Code
from router.records.holds import HoldRecord
from router.records.instance import Instance, Role, Stage
from router.records.receipt import Receipt, ReceiptState, VerifiedBy
from router.records.study import State, Study

if TYPE_CHECKING:
    import sqlite3

COPY_COLUMNS = (
    "copy_id", "study_uid", "series_uid", "sop_uid", "sop_class", "modality", "transfer_syntax",
    "instance_number", "digest", "md5", "size",
)  # fmt: skip
SET_COPY = ", ".join(f"{column} = ?" for column in COPY_COLUMNS)


def copy_values(copy: Copy) -> tuple[Any, ...]:
    """Values of COPY_COLUMNS."""
    fields = asdict(copy)
    return tuple(fields["orthanc_id" if c == "copy_id" else c] for c in COPY_COLUMNS)


def study(row: sqlite3.Row) -> Study:
    """The study of a row of ``study``."""
    return Study(
        orthanc_id=row["orthanc_id"],
        alias=row["alias"],
        state=State(row["state"]),
        generation=row["generation"],
        attempts=row["attempts"],
        due_at=row["due_at"],
        last_code=row["last_code"],
        key_id=row["key_id"],
        profile_id=row["profile_id"],
        received_at=row["received_at"],
        changed_at=row["changed_at"],
        priority=row["priority"],
    )


def copy(row: sqlite3.Row) -> Copy | None:
    """The copy of a row of ``instance``; ``None``: it has none yet."""
    if row["copy_id"] is None:
        return None
    values = {column: row[column] for column in COPY_COLUMNS if column != "copy_id"}
    return Copy(orthanc_id=row["copy_id"], **values)


def instance(row: sqlite3.Row) -> Instance:
    """The instance of a row of ``instance``."""
    return Instance(
        orthanc_id=row["orthanc_id"],
        study=row["study"],
        role=Role(row["role"]),
        stage=Stage(row["stage"]),
        attempts=row["attempts"],
        copy=copy(row),
        analysis=row["analysis"],
        hold=hold(row, ""),
        policy=row["policy"],
        origin=row["origin"],
        original_digest=row["original_digest"],
        purged_at=row["purged_at"],
        crashes=row["crashes"],
    )


def hold(row: sqlite3.Row, prefix: str) -> HoldRecord | None:
    """The hold of a row, by columns whose names begin with ``prefix``; ``None``: it is not held."""
    if row[f"{prefix}hold_code"] is None:
        return None
    return HoldRecord(
        Code(row[f"{prefix}hold_code"]), row[f"{prefix}hold_detail"], row[f"{prefix}held_at"]
    )


def receipt(row: sqlite3.Row) -> Receipt:
    """The receipt of a row of ``Outbox``: its columns that ``instance`` has, too, begin with r_."""
    sent = copy(row)
    assert sent is not None  # noqa: S101  (a receipt is made for a copy)
    if row["r_syntax"] is not None:
        sent = replace(
            sent,
            transfer_syntax=row["r_syntax"],
            digest=row["r_digest"],
            md5=row["r_md5"],
            size=row["r_size"],
        )
    return Receipt(
        instance=row["orthanc_id"],
        study=row["study"],
        alias=row["alias"],
        destination=row["destination"],
        copy=sent,
        received_at=row["received_at"],
        attempts=row["r_attempts"],
        due_at=row["due_at"],
        begun_at=row["begun_at"],
        sent_at=row["sent_at"],
        verified_at=row["verified_at"],
        verified_by=VerifiedBy(row["verified_by"]) if row["verified_by"] else None,
        last_code=row["last_code"],
        breaks=row["breaks"],
        syntax=row["r_syntax"],
        state=ReceiptState(row["r_state"]),
        hold=hold(row, "r_"),
    )
