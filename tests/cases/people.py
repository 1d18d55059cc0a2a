"""Whose image it is: numbers that are missing, wrong, or spelt twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cases import lab
from tests.cases.case import Case

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from tests.cases.scene import Scene

_BOTH = ("--reason", "case", "--by", "technologist")


def _corrected(scene: Scene) -> None:
    """Follows the advice of NO_PATIENT_ID: enter it on the scanner, send again, discard the old."""
    views = [lab.mg(f"c02{side}", side, study="c02", PatientID="") for side in "LR"]
    scene.take([lab.file_of(view) for view in views])
    old = scene.held()
    scene.must([row["code"] for row in old] == ["NO_PATIENT_ID"] * 2, f"not held so: {old}")
    scene.mark()
    for view in views:
        view.PatientID = "N7654321"
    scene.take([lab.file_of(view) for view in views])
    scene.must_not_be_held()
    scene.must(len(scene.arrived()) == 2, f"{len(scene.arrived())} of 2 are in the cloud")
    _discard_all(scene)
    code, told = scene.command("status")
    scene.must(code == 0, f"status is not fine afterwards: {told['summary']}")


def _discard_all(scene: Scene) -> None:
    for row in scene.command("held")[1]["held"]:
        code, told = scene.command("discard", row["instance"], *_BOTH)
        scene.must(code == 0, f"discard: {told}")


#: The name in two writings, each with its Specific Character Set or another change.
_PAIRS = (
    ("MUELLER^ANNA", "", "Müller^Anna", "ISO_IR 100"), ("IVANOVA^ANNA", "", "Иванова^Анна", "ISO_IR 144"),
    ("Novák^Jana", "wrong", "Novák^Jana", "ISO_IR 192"), ("SORENSEN^ANE", "", "Sørensen^Ane", "ISO_IR 100"),
    ("WALESA^EWA", "", "Wałęsa^Ewa", "ISO_IR 101"),
    ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192", "山田^太郎", "ISO_IR 192"),
    ("DE LA CRUZ^ANA", "", "DELACRUZ^ANA", ""), ("BRANDT^EVA", "sex", "BRANDT^EVA", ""),
)  # fmt: skip


def _of_pair(number: int, seed: str, name: str, how: str) -> FileDataset:
    image = lab.ct(seed, PatientID=f"U70{number}455", PatientBirthDate="19650411")
    if how.startswith("ISO"):
        image.SpecificCharacterSet = how
    image.PatientName = name
    if how == "wrong":  # UTF-8, under a header that says Latin-1
        lab.set_raw(image, "PatientName", "PN", name.encode())
    if how == "sex":
        image.PatientSex = "O"
    return image


def _spellings(scene: Scene) -> None:
    patients = []
    for seed, which in (("a", 0), ("b", 2)):
        scene.mark()
        images = [
            _of_pair(number, f"c07{seed}{number}", pair[which], pair[which + 1])
            for number, pair in enumerate(_PAIRS)
        ]
        scene.take([lab.file_of(image) for image in images])
        held = [f"{row['code']} ({row['detail']})" for row in scene.held()]
        scene.must(not held, f"spelling {seed}: held {held}")
        arrived = scene.arrived()
        scene.must(len(arrived) == len(_PAIRS), f"spelling {seed}: {len(arrived)} arrived")
        patients.append({str(one.dataset.PatientID) for one in arrived})
    scene.must(patients[0] == patients[1], "the two spellings became two patients")


def _wrong_number(scene: Scene) -> None:
    """Follows the advice of IDENTITY_CONFLICT: discard, correct the number, send again."""
    scene.take([lab.file_of(lab.ct("c26a", PatientID="W1", PatientName="Known^Kate"))])
    scene.must_not_be_held()
    scene.mark()
    views = [
        lab.mg(f"c26{side}", side, study="c26", PatientID="W1", PatientName="Other^Olga",
               PatientBirthDate="19501231") for side in "LR"
    ]  # fmt: skip
    scene.take([lab.file_of(view) for view in views])
    held = scene.held()
    scene.must([row["code"] for row in held] == ["IDENTITY_CONFLICT"] * 2, f"not held so: {held}")
    _discard_all(scene)
    scene.mark()
    for view in views:
        view.PatientID = "W2"
    scene.take([lab.file_of(view) for view in views])
    scene.must_not_be_held()
    patients = {str(one.dataset.PatientID) for one in scene.arrived()}
    scene.must(len(scene.arrived()) == 2, f"{len(scene.arrived())} of 2 are in the cloud")
    names = {scene.command("reidentify", patient, *_BOTH)[1]["patient_id"] for patient in patients}
    scene.must(names == {"W2"}, f"they are filed under {names}")


CASES = (
    Case("02_no_patient_id_then_corrected",
         "the corrected images are delivered; the old ones need at most a discard, and held says so",
         "Slicer #2040, shanoir-ng #3160, RSNA/anonymizer #18", _corrected),
    Case("07_one_patient_two_spellings", "one patient: no hold",
         "dcm4chee-arc-light #1339, slicebox #230, CTK #275", _spellings),
    Case("26_identity_conflict_advice",
         "discard, correct, send again: delivered under the right patient",
         "dcm4chee-arc-light #4701, #4272", _wrong_number),
)  # fmt: skip
