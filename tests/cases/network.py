"""How scanners and archives speak: commitments, refusals for good, associations."""

from __future__ import annotations

import json
import tempfile
import time
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, CTImageStorage
from pynetdicom import evt

from router.records.study import State
from tests.cases import lab
from tests.cases.case import Case
from tests.support import scanner
from tests.support.delivery_rig import DeliveryRig
from tests.support.fake_pacs import Answer, FakePacs, failed, stored
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cases.scene import Scene

# PS3.4, table J.2-1: the class and its well-known instance.
_COMMITMENT, _COMMITMENT_INSTANCE = UID("1.2.840.10008.1.20.1"), UID("1.2.840.10008.1.20.1.1")

# --- 04 --------------------------------------------------------------------------------------------


def _commitment(scene: Scene) -> None:
    image = lab.ct("c04")
    scene.take([lab.file_of(image)])
    told: list[int] = []

    def noted(event: Any) -> tuple[int, None]:
        told.append(event.event_type)
        return 0x0000, None

    entity = scanner.Entity("SCANNER")
    entity.add_requested_context(_COMMITMENT)
    port = scene.stack.port("door", 4242)
    association = entity.associate(
        "127.0.0.1", port, ae_title="EDGETRUCK", evt_handlers=[(evt.EVT_N_EVENT_REPORT, noted)]
    )
    try:
        if not association.is_established or not association.accepted_contexts:
            return  # refused cleanly: the scanner knows, and README says that it is switched off
        asked, item = Dataset(), Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = (
            image.SOPClassUID,
            image.SOPInstanceUID,
        )
        asked.TransactionUID, asked.ReferencedSOPSequence = lab.uid("c04", "t"), Sequence([item])
        answer, _ = association.send_n_action(asked, 1, _COMMITMENT, _COMMITMENT_INSTANCE)
        scene.must(answer.get("Status") == 0, "N-ACTION was accepted as a context and not served")
    finally:
        if association.is_established:
            association.release()


# --- 16 --------------------------------------------------------------------------------------------


@contextmanager
def _pacs() -> Iterator[FakePacs]:
    yield from FakePacs().serving()


def _refused_for_good(scene: Scene) -> None:
    """Three days against an archive that refuses one image with 0110, by a clock of our own."""
    with tempfile.TemporaryDirectory() as folder, _pacs() as pacs:
        bench = DeliveryRig(Path(folder), pacs)
        bad = bench.study("bad")
        good = {name: bench.study(name) for name in ("good0", "good1", "good2")}
        held: set[str] = set()
        tries: list[float] = []

        def answer(body: bytes) -> Answer:
            if bad.sop_uid.encode() in body:
                tries.append(bench.now)
                return Answer(409, failed(bad.sop_uid, 0x0110))
            (uid,) = (copy.sop_uid for copy in good.values() if copy.sop_uid.encode() in body)
            held.add(uid)
            return Answer(200, stored(uid))

        pacs.answer_to = answer
        pacs.listing = lambda asked: [asked] if asked in held else []
        end = bench.now + 3 * 86_400
        while bench.now < end:
            bench.delivery.breaker.reset()  # its probes run on the real clock
            bench.delivery.work_once()
            bench.now += 30.0 if bench.now < 5_000 else 600.0
        codes = [str(one.hold.code) for one in bench.journal.holds.all()]
        scene.must(codes == ["DESTINATION_REFUSED"], f"held for {codes} after three days")
        scene.must(len(tries) <= 3, f"it was sent {len(tries)} times")
        close = [b - a for a, b in pairwise(tries) if b - a < 3_600]
        scene.must(not close, f"two tries within {close} s")
        states = {name: bench.state(name) for name in good}
        scene.must(set(states.values()) == {State.DELIVERED}, f"the others: {states}")
        bench.journal.close()


# --- 20 --------------------------------------------------------------------------------------------

_OPEN = 12


def _associations(scene: Scene) -> None:
    port = scene.stack.port("door", 4242)
    opened = []
    for number in range(_OPEN):
        entity = scanner.Entity("SCANNER")
        entity.acse_timeout = 8
        entity.add_requested_context(CTImageStorage)
        opened.append(entity.associate("127.0.0.1", port, ae_title="EDGETRUCK"))
        if not opened[-1].is_established:
            scene.must(False, f"association {number + 1} is refused")
            break
    begun = time.monotonic()
    scene.take([lab.file_of(lab.ct("c20a"))])
    for association in opened:
        if association.is_established:
            association.release()
    scene.must(time.monotonic() - begun < 60, "the image beside them took more than a minute")
    answers = {
        calling: scene.send([lab.file_of(lab.ct(f"c20b{calling}"))], calling=calling)
        for calling in ("NEWSCANNER", "scanner")
    }
    refused = [calling for calling, (answer,) in answers.items() if not answer]
    if not refused:
        return

    def told() -> bool:
        said = json.dumps(scene.command("callers")[1])
        return all(calling in said for calling in refused)

    try:
        until(told, 60, what="that the operator can see the refusal", pause_s=2)
    except AssertionError:
        scene.must(False, f"that {refused} were refused is nowhere to be seen")
    status = scene.command("status")[1]
    scene.must(status.get("callers_refused"), "status says nothing of a refusal")


CASES = (
    Case("04_storage_commitment",
         "commitment is granted for what the truck safely has, or refused cleanly",
         "ClearCanvas #308, dcm4che #148", _commitment, later="the issue on the outside world"),
    Case("16_permanent_0110", "after some tries it is held with DESTINATION_REFUSED",
         "nextgenhealthcare/connect #4335, dcmjs #249, healthcare-dicom-dicomweb-adapter #54, "
         "DICOM-RST #56, MONAI informatics gateway #200", _refused_for_good),
    Case("20_associations",
         "no refusal at a handful of open associations; a refused AE title is visible on the truck",
         "dicom-dimse-native #71, pynetdicom #646, dicoogle #372, #402", _associations),
)  # fmt: skip
