"""bench imaging: exact K-Means against the seed's, captures, and what the flags find.

All in one process on one machine, so that the ratios hold whatever else it does; of each time the
best of several is taken. "The seed" is pixel-wise scikit-learn as the prototype had it; "the
floor" is one pass of ``np.bincount`` over the pixels.

Times are for histogram, solution and labels of decoded pixels. Memory is what numpy and Python
take at their highest beyond the decoded image.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydicom.uid import BreastTomosynthesisImageStorage
from sklearn.cluster import KMeans

from router.dicom import part10
from router.imaging import pixels, quality, secondary_capture
from router.imaging.analysis import density
from router.imaging.analysis.kmeans import optimal_cuts
from router.imaging.frame import Frame
from router.imaging.quality.baseline import COLD, Baseline
from tests.support import data, image_faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from pydicom.dataset import FileDataset

    from router.imaging.frame import Finding

HISTOGRAMS = 100_000
RUNS = 1_000
PLANES = 60
#: Images of each modality: learned from, clean, and of each fault.
LEARNED, CLEAN, FAULTY = 40, 200, 60
_MIB = 1024 * 1024


def best_ms(what: Callable[[], object], times: int = 9) -> float:
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        what()
        found.append((time.perf_counter() - begun) * 1000)
    return min(found)


def peak_mib(what: Callable[[], object]) -> float:
    """What an action takes at its highest, and gives back."""
    tracemalloc.start()
    what()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / _MIB


def inertia(values: NDArray[np.integer], labels: NDArray[np.integer]) -> float:
    """Squares within the clusters of flat values."""
    total = 0.0
    for label in np.unique(labels):
        members = values[labels == label].astype(np.float64)
        total += float(((members - members.mean()) ** 2).sum())
    return total


def compare(name: str, frame: Frame) -> dict[str, float]:
    """One modality against the seed and the floor."""
    flat = frame.pixels.reshape(-1)
    finding = density.analyse(frame)
    ours = best_ms(lambda: density.analyse(frame))
    # The seed's way on all pixels; ours leaves out what is no patient, so the same task is also
    # solved on all pixels for the inertia.
    begun = time.perf_counter()
    theirs = KMeans(n_clusters=3).fit(flat.reshape(-1, 1))
    seed = (time.perf_counter() - begun) * 1000
    unsigned = flat.view(np.uint16)
    floor = min(best_ms(lambda: np.bincount(unsigned), 3), best_ms(lambda: _in_chunks(unsigned), 3))
    plain = density.analyse(Frame(frame.pixels, "OTHER"))
    ours_inertia = inertia(flat, plain.labels.reshape(-1))
    extra = peak_mib(lambda: density.analyse(frame))
    print(
        f"{name}: {flat.size / 1e6:.1f} Mpx  ours {ours:.2f} ms  seed {seed:.0f} ms"
        f"  floor (bincount) {floor:.1f} ms  extra memory {extra:.1f} MiB of"
        f" {frame.pixels.nbytes / _MIB:.1f}  inertia ours/seed"
        f" {ours_inertia / float(theirs.inertia_):.6f}  {_shown(finding)}"
    )
    return {"ms": ours, "seed": seed / ours, "floor": ours / floor,
            "extra": extra * _MIB / frame.pixels.nbytes}  # fmt: skip


def _in_chunks(flat: NDArray[np.uint16]) -> NDArray[np.int64]:
    """bincount in pieces that stay in the cache: the fastest single pass that numpy has."""
    counts = np.zeros(1 << 16, dtype=np.int64)
    for start in range(0, flat.size, 1 << 18):
        counts += np.bincount(flat[start : start + (1 << 18)], minlength=1 << 16)
    return counts


def _shown(finding: Finding) -> str:
    return ", ".join(f"{c.name} {c.fraction:.0%}" for c in finding.classes)


def mismatches(number: int) -> int:
    """Random histograms that brute force cuts better, in exact integers."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(number):
        m, k = int(rng.integers(4, 11)), int(rng.integers(2, 5))
        m = max(m, k)
        values = np.sort(rng.choice(60, m, replace=False)).astype(np.int64)
        counts = rng.integers(1, 50, m)
        found = optimal_cuts(values, counts, k)
        sums = np.concatenate(([0], np.cumsum(values * counts))).tolist()
        numbers = np.concatenate(([0], np.cumsum(counts))).tolist()

        def gain(cuts: tuple[int, ...], s: list[int] = sums, n: list[int] = numbers) -> float:
            bounds = (0, *cuts, len(s) - 1)
            return sum((s[e] - s[f]) ** 2 / (n[e] - n[f]) for f, e in itertools.pairwise(bounds))

        most = max(gain(cuts) for cuts in itertools.combinations(range(1, m), k - 1))
        # Equal to the last bits of a sum of a few quotients.
        wrong += gain(tuple(found)) < most * (1 - 1e-13)
    return wrong


def same_bytes(frame: Frame, runs: int) -> bool:
    first = density.analyse(frame).labels.tobytes()
    return all(density.analyse(frame).labels.tobytes() == first for _ in range(runs - 1))


def tomosynthesis(path: Path) -> tuple[float, float]:
    """Seconds for all planes of a file, and MiB beyond one plane, in a process of its own."""
    plane = data.mammogram_pixels("bench", "RCC", 2457, 1890)
    dataset = data.new_file(BreastTomosynthesisImageStorage, "1.2.3")
    dataset.Modality = "MG"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation, dataset.NumberOfFrames = 0, PLANES
    dataset.PixelData = b"".join(np.roll(plane, n, axis=0).tobytes() for n in range(PLANES))
    dataset.save_as(path, enforce_file_format=True)
    del dataset
    code = (
        "import sys; from tests.benchmarks.imaging import measure_file;"
        f"measure_file({str(path)!r}, {plane.nbytes})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, mib = done.stdout.split()[-2:]
    print(f"DBT: {PLANES} x {plane.shape}  {seconds} s  {mib} MiB beyond a plane")
    return float(seconds), float(mib)


def measure_file(name: str, plane_bytes: int) -> None:
    """Prints the seconds that a file takes, warm, and the process's growth beyond a plane."""
    density.analyse(Frame(np.arange(9, dtype=np.uint16).reshape(3, 3), "MR"))  # all is loaded
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    taken = []
    for _ in range(4):
        begun = time.perf_counter()
        with Path(name).open("rb") as stream:
            frame = pixels.to_frame(part10.read(stream), stream)
            density.analyse(frame)
        taken.append(time.perf_counter() - begun)
    print(f"{min(taken):.2f} {(_memory('VmHWM') - before - plane_bytes) / _MIB:.0f}")


def _memory(name: str) -> int:
    """Bytes, as the kernel counts them for this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


def capture_cost(frame: Frame) -> tuple[float, float]:
    """Milliseconds to draw and encode, and KiB, for a mammogram."""
    source = next(data.mammogram_study("bench", data.Patient.made("bench"), 64, 52))
    finding = density.analyse(frame)
    uids = secondary_capture.CaptureUids("2.25.1", "2.25.2")

    def make() -> bytes:
        rgb = secondary_capture.picture(frame, finding)
        return secondary_capture.secondary_capture(source, rgb, finding, uids)

    return best_ms(make), len(make()) / 1024


def flags() -> tuple[float, float]:
    """Share of injected faults that got a flag of their own, and of clean images with any."""
    right = {
        "blank": quality.Flag.BLANK, "saturated": quality.Flag.SATURATED,
        "low_contrast": quality.Flag.LOW_CONTRAST, "lost_rows": quality.Flag.LOST_LINES,
        "kvp_step": quality.Flag.EXPOSURE_UNUSUAL, "wrong_padding": quality.Flag.PADDING_WRONG,
    }  # fmt: skip
    found = faulty = wrong = clean = 0
    for modality in ("CT", "CR", "MG"):
        learned = defaultdict(list)
        for n in range(LEARNED):
            _, view, features = _look(image_faults.clean(modality, f"learned-{n}"))
            learned[view].append(features)
        usual = {view: Baseline.of(rows) for view, rows in learned.items()}
        cold: Counter[str] = Counter()
        for n in range(CLEAN):
            kind, view, features = _look(image_faults.clean(modality, f"clean-{n}"))
            wrong += bool(quality.quality_flags(kind, features, usual.get(view, COLD)))
            cold["clean"] += bool(quality.quality_flags(kind, features))
            clean += 1
        hit: Counter[str] = Counter()
        for name, inject in image_faults.FAULTS.items():
            for n in range(FAULTY):
                image = image_faults.clean(modality, f"{name}-{n}")
                inject(image, np.random.default_rng([n, len(name)]))
                kind, view, features = _look(image)
                raised = quality.quality_flags(kind, features, usual.get(view, COLD))
                hit[name] += right[name] in {one.flag for one in raised}
                cold[name] += right[name] in {
                    one.flag for one in quality.quality_flags(kind, features)
                }
                faulty += 1
        found += sum(hit.values())
        print(f"flags {modality}: of {FAULTY} each {dict(hit)}  before anything is learned"
              f" {dict(cold)} (clean: of {CLEAN})")  # fmt: skip
    return 100 * found / faulty, 100 * wrong / clean


def _look(image: FileDataset) -> tuple[str, str, dict[str, float]]:
    seen = quality.acquisition(image)
    features = quality.features(pixels.to_frame(image, for_processing=True)) | seen.figures
    return seen.modality, seen.view, features


def main() -> None:
    ct = compare("CT", Frame(data.ct_slice("bench", 3), "CT"))
    film = data.radiograph("bench", data.Patient.made("bench"), 2560, 2048)
    compare("CR", pixels.to_frame(film))
    breast = Frame(data.mammogram_pixels("bench", "RCC", 4096, 3328), "MG", view="CC")
    mg = compare("MG", breast)
    with tempfile.TemporaryDirectory() as folder:
        dbt_s, dbt_mib = tomosynthesis(Path(folder) / "dbt.dcm")
    wrong = mismatches(HISTOGRAMS)
    same = same_bytes(Frame(data.ct_slice("bench", 4), "CT"), RUNS)
    print(f"labels of {RUNS} runs byte-identical: {same}; extra memory of MG {mg['extra']:.2f}"
          f" x the image; {HISTOGRAMS} histograms against brute force")  # fmt: skip
    sc_ms, sc_kib = capture_cost(breast)
    flags_found, flags_false = flags()
    print(
        f"bench imaging: ct_ms={ct['ms']:.2f} mg_ms={mg['ms']:.1f} mg_vs_seed={mg['seed']:.0f}"
        f" mg_vs_bincount={mg['floor']:.2f} dbt_s={dbt_s:.2f} dbt_mib={dbt_mib:.0f}"
        f" mismatches={wrong + (not same)} sc_ms={sc_ms:.0f} sc_kib={sc_kib:.0f}"
        f" flags_found={flags_found:.1f}% flags_false={flags_false:.1f}%"
    )


if __name__ == "__main__":
    main()
