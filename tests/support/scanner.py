"""A scanner for tests: sends data sets by C-STORE with pynetdicom."""

from __future__ import annotations

import select
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING

from pynetdicom import AE, transport

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from ssl import SSLContext

    from pydicom.dataset import FileDataset
    from pynetdicom.association import Association
    from pynetdicom.transport import AddressInformation, AssociationSocket

SUCCESS = 0x0000
#: The truck broke the association off instead of answering.
NO_ANSWER = -1


def _readable(
    readers: list[socket.socket], _writers: object, _errors: object, timeout_s: float
) -> tuple[list[socket.socket], list[object], list[object]]:
    """What ``select.select`` answers, also of descriptors above 1023: a test has a thousand open."""
    poll = select.poll()
    for one in readers:
        poll.register(one, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(timeout_s * 1000)}
    return [one for one in readers if one.fileno() in ready], [], []


vars(transport)["select"] = SimpleNamespace(select=_readable)


class Entity(AE):
    """Remembers its sockets: pynetdicom forgets one that could not connect or was broken off."""

    def __init__(self, ae_title: str) -> None:
        super().__init__(ae_title=ae_title)
        self.opened: list[socket.socket] = []

    def _create_socket(
        self,
        assoc: Association,
        address: AddressInformation,
        tls_args: tuple[SSLContext, str] | None,
    ) -> AssociationSocket:
        made = super()._create_socket(assoc, address, tls_args)
        if made.socket is not None:
            self.opened.append(made.socket)
        return made


@contextmanager
def associated(entity: Entity, port: int, called: str = "EDGETRUCK") -> Iterator[Association]:
    """An association that leaves nothing behind; look whether it is established."""
    association = entity.associate("127.0.0.1", port, ae_title=called)
    try:
        yield association
    finally:
        if association.is_established:
            association.release()
        for one in entity.opened:
            one.close()


def store(
    datasets: Iterable[FileDataset], port: int, called: str = "EDGETRUCK", calling: str = "SCANNER"
) -> list[int]:
    """The C-STORE status of each data set. An association that is refused gives an empty list."""
    sent = list(datasets)
    entity = Entity(calling)
    for sop_class, syntax in sorted(
        {(str(d.SOPClassUID), str(d.file_meta.TransferSyntaxUID)) for d in sent}
    ):
        entity.add_requested_context(sop_class, syntax)
    with associated(entity, port, called) as association:
        if not association.is_established:
            return []
        answers = [association.send_c_store(dataset) for dataset in sent]
        return [int(answer.get("Status", NO_ANSWER)) for answer in answers]


def store_file(path: Path, sop_class: str, syntax: str, port: int) -> int:
    """The C-STORE status of a file that is sent as it is, whole or not."""
    entity = Entity("SCANNER")
    entity.add_requested_context(sop_class, syntax)
    with associated(entity, port) as association:
        assert association.is_established
        return int(association.send_c_store(path).get("Status", NO_ANSWER))
