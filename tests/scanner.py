"""A scanner for tests: sends data sets by C-STORE with pynetdicom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynetdicom import AE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pydicom.dataset import FileDataset

SUCCESS = 0x0000
#: The truck broke the association off instead of answering.
NO_ANSWER = -1


def store(
    datasets: Iterable[FileDataset], port: int, called: str = "EDGETRUCK", calling: str = "SCANNER"
) -> list[int]:
    """The C-STORE status of each data set. An association that is refused gives an empty list."""
    sent = list(datasets)
    entity = AE(ae_title=calling)
    for sop_class, syntax in sorted(
        {(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in sent}
    ):
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return []
    try:
        answers = [association.send_c_store(dataset) for dataset in sent]
        return [int(answer.get("Status", NO_ANSWER)) for answer in answers]
    finally:
        association.release()


def store_file(path: Path, sop_class: str, syntax: str, port: int) -> int:
    """The C-STORE status of a file that is sent as it is, whole or not."""
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(sop_class, syntax)
    association = entity.associate("127.0.0.1", port, ae_title="EDGETRUCK")
    assert association.is_established
    try:
        return int(association.send_c_store(path).get("Status", NO_ANSWER))
    finally:
        if association.is_established:
            association.release()
