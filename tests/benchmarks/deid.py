"""bench deid: the corpus through a real Orthanc, scored by its answer key.

actions_right: of all actions of the key on what was sent, in percent. leaks: planted values found
in what was sent, and pixels with text that were sent as they are. inconsistent: UIDs, patients,
accession numbers or date shifts with two answers. false_held: clean files that were held, in
percent. iod_new_errors: lines of dciodvfy that the original does not have, over the corpus and
over the files inside pydicom. ct_ms, mg_ms: fetch, plan, anonymize, gate and store of a study over
its number of CT slices or mammogram views (some are under way at once), not compressed, median of
five studies; lines before it have them with compression, the fastest study, and how long an image
takes that is alone in its study.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
import pydicom.data

from tests.corpus import large, peers, people, verify, way
from tests.corpus.maker import SMALLEST, Corpus
from tests.corpus.score import Score, Scorer
from tests.support import data, orthancs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import FileDataset

    from tests.corpus.maker import Made
    from tests.corpus.way import Came
    from tests.support.orthancs import Orthanc

_SHOWN = 12
#: Studies whose median is taken.
_TIMED = 5


@contextmanager
def orthancs_running(folder: Path) -> Iterator[tuple[Orthanc, Orthanc]]:
    """The truck's and the cloud's."""
    truck = contextmanager(orthancs.start)("truck", folder, ["router", "health", "other"])
    cloud = contextmanager(orthancs.start)("cloud", folder, ["truck", "health"])
    with truck as one, cloud as other:
        yield one, other


def written(seed: str, files: int, folder: Path) -> tuple[list[Made], list[Path]]:
    """A corpus as files, in an order of its own."""
    corpus = list(Corpus(seed, files))
    people.dice(seed, "arrival").shuffle(corpus)
    folder.mkdir(parents=True)
    paths = [folder / f"{made.name}.dcm" for made in corpus]
    for made, path in zip(corpus, paths, strict=True):
        path.write_bytes(made.file)
    return corpus, paths


def run_seed(
    seed: str, files: int, truck: Orthanc, cloud: Orthanc, folder: Path, *, iod: bool = True
) -> Score:
    """One corpus, the whole way."""
    corpus, paths = written(seed, files, folder / "sources")
    came = way.through(truck, cloud, folder / "router", paths)
    assert not came.refused, f"the truck refused {came.refused}"
    scorer = Scorer()
    by_id: dict[str, Made] = {}
    pairs = []
    for made in corpus:
        original = way.original_id(made.dataset())
        by_id[original] = made
        if original in came.copies:
            scorer.sent(made, came.copies[original])
            pairs.append((made.name, made.file, came.copies[original]))
        else:
            scorer.held(made, came.held.get(original, "LOST"))
    for source, file in came.beside:
        scorer.sent_beside(by_id[source], file)
    score = scorer.close()
    score.duplicates += came.surplus
    if iod:
        score.iod_new = verify.new_errors(pairs)
    return score


def pydicom_files(truck: Orthanc, cloud: Orthanc, folder: Path) -> tuple[int, list[str]]:
    """How many of pydicom's own files went on, and their new errors."""
    sources = folder / "pydicom"
    sources.mkdir()
    paths: list[Path] = []
    originals: dict[str, tuple[str, bytes]] = {}
    base = Path(pydicom.data.__file__).parent
    for path in sorted([*base.glob("test_files/**/*.dcm"), *base.glob("charset_files/*.dcm")]):
        try:
            dataset = pydicom.dcmread(path)
            assert dataset.file_meta.MediaStorageSOPClassUID
            assert not dataset.file_meta.TransferSyntaxUID.is_private
            assert dataset.SOPInstanceUID
            assert dataset.SOPClassUID != pydicom.uid.MediaStorageDirectoryStorage
            # They share UIDs and lack patients: each becomes one of its own, by its number.
            dataset.PatientID = f"PYDICOM{len(paths)}"
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
                setattr(dataset, keyword, f"1.3.6.1.4.1.5962.99.{len(paths)}.{len(keyword)}")
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            if not dataset.get("SOPClassUID"):
                dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
            written = data.file_bytes(dataset)
        except Exception:  # noqa: BLE001, S112  (broken on purpose: no scanner could send it)
            continue
        paths.append(sources / f"{len(paths)}-{path.stem}.dcm")
        paths[-1].write_bytes(written)
        key = way.original_id(dataset)
        originals[key] = (path.stem, written)
    came = way.through(truck, cloud, folder / "pydicom-router", paths)
    holds = Counter(held.partition(" ")[0] for held in came.held.values())
    print(
        f"pydicom's files: sent={len(paths)} refused={len(came.refused)} went on={len(came.copies)} held={dict(holds)}"
    )
    pairs = [(*originals[key], copy) for key, copy in came.copies.items()]
    return len(paths), verify.new_errors(pairs)


def timings(truck: Orthanc, cloud: Orthanc, folder: Path) -> tuple[float, float]:
    """Milliseconds for each CT slice of 512² and each mammogram view of 28 MB, not compressed.

    Of the chain alone: one study at a time, no look at its quality beside it, delivered when all
    of it is anonymized. Median of the studies. A line is printed for each way.
    """
    medians: dict[str, float] = {}
    for compressed in (True, False):
        shown = []
        for kind, studies in (("ct", _ct_studies()), ("mg", _mammogram_studies())):

            def seconds(name: str, images: list[FileDataset]) -> Came:
                place = folder / f"{kind}-{compressed:d}-{name}"  # noqa: B023  (called at once)
                return _timed(truck, cloud, place, images, compressed=compressed)  # noqa: B023

            each = [seconds(f"{n}", study).seconds_each for n, study in enumerate(studies)]
            alone = seconds("alone", [study[0] for study in studies]).seconds.values()
            medians[kind] = way.median_ms(each)
            shown.append(
                f"{kind}_ms={medians[kind]:.1f} {kind}_best_ms={1000 * min(each):.1f}"
                f" {kind}_alone_ms={way.median_ms(alone):.1f}"
            )
        print(f"timings: compression={'on' if compressed else 'off'} {' '.join(shown)}", flush=True)
    return medians["ct"], medians["mg"]


def _ct_studies() -> list[list[FileDataset]]:
    """A series of each patient."""
    seed = data.fresh_seed()
    patients = [data.Patient.made(seed, number) for number in range(_TIMED)]
    return [list(data.ct_series(f"{seed}{p.patient_id}", p, slices=40)) for p in patients]


def _mammogram_studies() -> list[list[FileDataset]]:
    """Four views of each woman."""
    seed = data.fresh_seed()
    patients = [data.Patient.made(seed, number) for number in range(_TIMED)]
    return [[d for d in data.mammogram_study(seed, p) if d.Modality == "MG"] for p in patients]


def _timed(
    truck: Orthanc, cloud: Orthanc, folder: Path, images: list[FileDataset], *, compressed: bool
) -> Came:
    folder.mkdir()
    paths = [folder / f"{image.SOPInstanceUID}.dcm" for image in images]
    for image, path in zip(images, paths, strict=True):
        path.write_bytes(data.file_bytes(image))
    settings = way.compression(on=compressed) + way.WITHOUT_ANALYSIS
    came = way.through(truck, cloud, folder / "router", paths, settings)
    assert len(came.copies) == len(paths), came.held
    return came


def show_large(truck: Orthanc, cloud: Orthanc, folder: Path) -> None:
    """The figures of large objects."""
    many, one = large.frames_beyond_bytes(truck, cloud, folder / "frames")
    print(
        f"large: frames=1000 seconds={many:.2f} same_bytes_one_frame={one:.2f} beyond={many - one:.2f}"
    )
    for compressed in (False, True):
        for limited in (False, True):
            name = f"tomosynthesis-{compressed:d}{limited:d}"
            passed = large.tomosynthesis(
                truck, cloud, folder / name, compressed=compressed, limited=limited
            )
            print(
                f"large: tomosynthesis_mb={passed.size_mb:.0f} sent_mb={passed.sent_mb:.0f}"
                f" container_mib={'512' if limited else 'unlimited'} seconds={passed.seconds:.0f}"
                f" rss_mib={passed.resident:.0f} rss_without_files_mib={passed.anon:.0f}"
                f" rss_of_one_process_mib={passed.highest:.0f}",
                flush=True,
            )


def show(score: Score, *, everything: bool) -> None:
    """What is not right, the commonest first."""
    print(*score.lines(), sep="\n")
    print(f"held: {dict(score.held.most_common())}")
    for name in ("wrong", "leaked", "inconsistent", "falsely_held", "overcautious", "iod_new"):
        found: list[str] = getattr(score, name)
        if found:
            print(f"-- {name}: {len(found)}")
            print(*(found if everything else found[:_SHOWN]), sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench deid", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many, counted up from --seed")
    parser.add_argument("--files", type=int, default=SMALLEST)
    parser.add_argument("--peers", action="store_true", help="other de-identifiers beside it")
    parser.add_argument(
        "--large", action="store_true", help="multi-frame images of 1000 frames and 557 MB"
    )
    parser.add_argument(
        "--quick", action="store_true", help="the corpus alone: no timing, no dciodvfy"
    )
    parser.add_argument(
        "--timings", action="store_true", help="the timing alone: two minutes on a quiet machine"
    )
    parser.add_argument("--all", action="store_true", help="print all that is not right")
    wanted = parser.parse_args()
    if wanted.timings:
        with tempfile.TemporaryDirectory() as name, orthancs_running(Path(name)) as (truck, cloud):
            ct_ms, mg_ms = timings(truck, cloud, Path(name))
        print(f"bench deid: ct_ms={ct_ms:.0f} mg_ms={mg_ms:.0f}")
        return
    scores = []
    own: list[str] = []
    ct_ms = mg_ms = float("nan")
    with tempfile.TemporaryDirectory() as name, orthancs_running(Path(name)) as (truck, cloud):
        folder = Path(name)
        for seed in range(wanted.seed, wanted.seed + wanted.seeds):
            score = run_seed(
                str(seed), wanted.files, truck, cloud, folder / f"seed{seed}",
                iod=not wanted.quick,
            )  # fmt: skip
            print(f"seed {seed}: {line([score])}", flush=True)
            scores.append(score)
            show(score, everything=wanted.all)
        if wanted.peers:
            corpus, paths = written(str(wanted.seed), wanted.files, folder / "peers-sources")
            (folder / "peers").mkdir()
            compared = {"edge-router": scores[0]}
            compared |= peers.compare(corpus, paths, truck, folder / "peers")
            print(*peers.table(compared), sep="\n")
        if wanted.large:
            show_large(truck, cloud, folder)
        if not wanted.quick:
            _, own = pydicom_files(truck, cloud, folder)
            print(*(own if wanted.all else own[:_SHOWN]), sep="\n")
            ct_ms, mg_ms = timings(truck, cloud, folder)
    print(f"bench deid: {line(scores, own)} ct_ms={ct_ms:.0f} mg_ms={mg_ms:.0f}")


def line(scores: list[Score], own: list[str] | None = None) -> str:
    """The figures of several seeds together."""
    asked = sum(sum(score.asked.values()) for score in scores)
    right = sum(sum(score.right.values()) for score in scores)
    clean = sum(score.clean for score in scores)
    held = sum(len(score.falsely_held) for score in scores)
    return (
        f"files={sum(score.files for score in scores)}"
        f" actions_right={100 * right / max(asked, 1):.3f}%"
        f" leaks={sum(len(score.leaked) for score in scores)}"
        f" inconsistent={sum(len(score.inconsistent) for score in scores)}"
        f" false_held={100 * held / max(clean, 1):.2f}%"
        f" duplicates={sum(score.duplicates for score in scores)}"
        f" iod_new_errors={sum(len(score.iod_new) for score in scores) + len(own or [])}"
    )


if __name__ == "__main__":
    main()
