"""Other de-identifiers on the same files: Orthanc's default, Kitware's dicom-anonymizer, dicognito.

The Python ones are installed into a folder of their own; they are no part of the project.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.corpus import way
from tests.corpus.score import Score, Scorer
from tests.support.orthancs import DELETE
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.corpus.maker import Made
    from tests.support.orthancs import Orthanc

_PACKAGES = ("dicom-anonymizer==2.1.0", "dicognito==0.19.0")
#: One process for all files, so that UIDs stay consistent as far as the tool can keep them.
_KITWARE = """
import sys, pathlib
from dicomanonymizer import anonymize_dicom_file
source, target = map(pathlib.Path, sys.argv[1:])
for path in sorted(source.glob("*.dcm")):
    try:
        anonymize_dicom_file(str(path), str(target / path.name))
    except Exception as error:
        print(path.name, type(error).__name__)
"""
_DICOGNITO = """
import sys, pathlib, pydicom
from dicognito.anonymizer import Anonymizer
source, target = map(pathlib.Path, sys.argv[1:])
anonymizer = Anonymizer(seed="corpus")
for path in sorted(source.glob("*.dcm")):
    try:
        dataset = pydicom.dcmread(path)
        anonymizer.anonymize(dataset)
        dataset.save_as(target / path.name)
    except Exception as error:
        print(path.name, type(error).__name__)
"""


def compare(
    corpus: Sequence[Made], paths: Sequence[Path], truck: Orthanc, folder: Path
) -> dict[str, Score]:
    """Name of the tool → its score."""
    python = _install(folder / "venv")
    tools: dict[str, Callable[[Path], dict[str, bytes]]] = {
        "Orthanc default": lambda _: _orthanc(paths, truck),
        "dicom-anonymizer": lambda target: _script(python, _KITWARE, paths[0].parent, target),
        "dicognito": lambda target: _script(python, _DICOGNITO, paths[0].parent, target),
    }
    scores = {}
    for name, run in tools.items():
        target = folder / name.replace(" ", "-")
        target.mkdir()
        begun = time.monotonic()
        made_of = run(target)
        seconds = time.monotonic() - begun
        scorer = Scorer()
        for made in corpus:
            if made.name in made_of:
                scorer.sent(made, made_of[made.name])
            else:
                scorer.held(made, "FAILED")
        scores[f"{name} ({seconds:.0f} s)"] = scorer.close()
    return scores


def table(scores: dict[str, Score]) -> list[str]:
    """One tool a line."""
    head = f"{'':26}{'files out':>10}{'right %':>9}{'leaks':>8}{'files leaking':>15}{'inconsistent':>14}"
    return [head] + [
        f"{name:26}{score.sent:10}{score.rate:9.2f}{len(score.leaked):8}"
        f"{len(score.leaking):15}{len(score.inconsistent):14}"
        for name, score in scores.items()
    ]


def _install(folder: Path) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *_PACKAGES],
        check=True,
    )
    return python


def _script(python: Path, code: str, source: Path, target: Path) -> dict[str, bytes]:
    done = subprocess.run(
        [python, "-W", "ignore", "-c", code, str(source), str(target)],
        capture_output=True, text=True, check=True, timeout=1800,
    )  # fmt: skip
    failed = {line.split()[0] for line in done.stdout.splitlines() if line}
    return {path.stem: path.read_bytes() for path in target.iterdir() if path.name not in failed}


def _orthanc(paths: Sequence[Path], truck: Orthanc) -> dict[str, bytes]:
    """Studies as wholes, so that Orthanc keeps its UIDs consistent."""
    truck.wipe()
    way.store(paths, truck.dicom_port)
    names = dict(zip(way.original_ids(paths), (path.stem for path in paths), strict=True))
    until(lambda: len(truck.instances()) >= len(names), what="all files on the truck")
    found: dict[str, bytes] = {}
    studies = truck.get("/studies")
    assert isinstance(studies, list)
    for study in studies:
        before = set(truck.instances())
        inside = truck.get(f"/studies/{study}/instances")
        assert isinstance(inside, list)
        done = truck.request("POST", f"/studies/{study}/anonymize", json={}, headers=DELETE)
        if done.ok:
            made = set(truck.instances()) - before
            found |= {names[_source_of(truck, copy)]: truck.file(copy) for copy in made}
            continue
        for original in (instance["ID"] for instance in inside):  # it gives up studies as a whole
            one = truck.request("POST", f"/instances/{original}/anonymize", json={})
            if one.ok:
                found[names[original]] = one.content
    truck.wipe()
    return found


def _source_of(truck: Orthanc, copy: str) -> str:
    return truck.request("GET", f"/instances/{copy}/metadata/AnonymizedFrom").text
