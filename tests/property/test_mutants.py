"""The gate kills every planted mutant: a copy with one fault never passes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from router.deid import gate, pseudonyms
from router.deid.planning import plan
from router.deid.profile import SCREENING, Profile
from router.records.errors import EdgeRouterError, Hold
from tests.corpus import mutants
from tests.corpus.key import Verdict
from tests.corpus.maker import Corpus
from tests.support import apply_plan

if TYPE_CHECKING:
    from tests.corpus.maker import Made

KEY = pseudonyms.Key("test", bytes(range(32)))
STATION = "TRUCK1"
PROFILE = Profile.of(SCREENING)
KINDS = ("CT", "MG", "MR", "DX", "EMR", "DBT", "RDSR", "PR", "KO", "CAD")


class Gate:
    """The gate before one original."""

    def __init__(self, original: bytes) -> None:
        self._bytes = memoryview(original)
        self._original = apply_plan.read(original)
        self._expected = gate.Expected.of(self._original, KEY, STATION, PROFILE)
        self._traces = gate.Traces.of(self._original, STATION)

    def passes(self, copy: bytes) -> bool:
        """Whether the copy may go."""
        try:
            gate.check_copy(
                self._original, self._bytes, apply_plan.read(copy), memoryview(copy),
                self._expected, self._traces,
            )  # fmt: skip
        except Hold:
            return False
        return True


def finished(made: Made) -> bytes | None:
    """The copy that a faultless Orthanc makes; ``None``: the file is held."""
    try:
        body = plan.make(apply_plan.read(made.file), KEY, STATION, PROFILE)
    except EdgeRouterError:
        return None
    copy = apply_plan.apply(made.file, body)
    return copy if Gate(made.file).passes(copy) else None


def chosen() -> dict[str, tuple[Made, bytes]]:
    """One planted file of each kind whose copy passes."""
    found: dict[str, tuple[Made, bytes]] = {}
    for made in Corpus("mutants", 120):
        wanted = made.kind in KINDS and made.verdict is Verdict.FLOWS and not made.clean
        if wanted and made.kind not in found and (copy := finished(made)):
            found[made.kind] = (made, copy)
    return found


def test_the_gate_kills_every_mutant() -> None:
    files = chosen()
    assert set(files) == set(KINDS)
    tried: Counter[str] = Counter()
    alive: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for kind, (made, copy) in files.items():
        judge = Gate(made.file)
        for mutant in mutants.of(made, copy, seen):
            tried[mutant.kind] += 1
            if judge.passes(mutant.file):
                alive.append(f"{kind}: {mutant.kind} {mutant.where}")
    assert not alive, f"{len(alive)} of {tried.total()} alive:\n" + "\n".join(alive)
    assert tried.total() > 2000
    assert len(tried) > 130


def test_the_gate_kills_every_mutant_of_the_plan() -> None:
    """Each entry of the plan left out by itself: the original stays there."""
    alive: list[str] = []
    tried = 0
    for kind, (made, copy) in chosen().items():
        judge = Gate(made.file)
        body = plan.make(apply_plan.read(made.file), KEY, STATION, PROFILE)
        for path in [*body.remove, *body.replace][:: 1 if kind in {"CT", "RDSR"} else 5]:
            if path == "0008-0018":
                continue  # the file header of the tests is made of it
            wrong = plan.Plan(
                {p: v for p, v in body.replace.items() if p != path},
                [p for p in body.remove if p != path],
            )
            spoilt = apply_plan.apply(made.file, wrong)
            if spoilt == copy:
                continue
            tried += 1
            if judge.passes(spoilt):
                alive.append(f"{kind}: {path}")
    assert not alive, f"{len(alive)} of {tried} alive:\n" + "\n".join(alive)
    assert tried > 300
