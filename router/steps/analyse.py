"""The step ANONYMIZED → ANALYSED: a capture of each image that is chosen for one."""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING

from router import capture
from router.analyser import Analyser, Task
from router.analysis import density
from router.deid import gate, pseudonyms
from router.errors import AnalysisSkipped, Code, Hold
from router.spool import MemoryBody
from router.steps.bench import Bench, describe, read_made
from router.study import CAPTURE_GONE, CAPTURED, Instance, Outcome, Role, Stage, Study

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from router.deid.pseudonyms import Key
    from router.spool import Body

#: One capture for a whole series, of the slice in its middle; one per image in all others.
_SLICED = frozenset({"CT", "MR"})

_log = logging.getLogger(__name__)


class Analysing:
    """Makes the captures. One thread uses it."""

    def __init__(self, bench: Bench, analyser: Analyser | None) -> None:
        self._bench = bench
        self._analyser = analyser

    def take(self, study: Study) -> Outcome | None:
        """Makes the captures that are not decided yet. Raises OrthancError, JournalError."""
        key = self._bench.key(study)
        instances = self._bench.journal.instances(study.orthanc_id)
        chosen, left_out = choose_sources(instances)
        self._bench.journal.decide_analysis(dict.fromkeys(left_out, Code.NOT_CHOSEN))
        for instance in chosen:
            if self._bench.stopping():
                return None
            with self._bench.timed("analyse"):
                result = self._try_analyse(study, instance, key)
            if result != CAPTURED:  # that one is written with the capture
                self._bench.journal.decide_analysis({instance.orthanc_id: result})
            self._bench.metrics.analyses.labels(result).inc()
        decided = self._bench.journal.instances(study.orthanc_id)
        return Outcome.DONE if any(i.analysis == CAPTURED for i in decided) else Outcome.SKIP

    def _try_analyse(self, study: Study, instance: Instance, key: Key) -> str:
        """CAPTURED, or the code that says why not."""
        try:
            self._capture(study, instance, key)
        except (AnalysisSkipped, Hold) as left_out:
            _log.info(
                "no capture: %s",
                left_out.sentence,
                extra={"action": "analyse", "study": study.alias, "code": left_out.code},
            )
            return left_out.code
        return CAPTURED

    def _capture(self, study: Study, instance: Instance, key: Key) -> None:
        copy = instance.copy
        assert copy is not None  # noqa: S101  (only anonymized instances are chosen)
        if self._analyser is None:
            raise AnalysisSkipped(Code.ANALYSIS_DISABLED, "analysis is switched off")
        made_by = f"{density.ALGORITHM}|{density.VERSION}"
        uids = capture.CaptureUids(
            series=pseudonyms.uid(key, f"{made_by}|{copy.series_uid}"),
            sop=pseudonyms.uid(key, f"{made_by}|{copy.sop_uid}"),
        )
        source, target = self._bench.spool.path(".source"), self._bench.spool.path(".capture")
        try:
            with self._bench.orthanc.file(copy.orthanc_id) as body:
                source.write_bytes(body.view)
                header = gate.header(read_made(body), body.view)
            self._analyser.run(Task(source, target, uids.series, uids.sop))
            made = target.read_bytes()
        finally:
            source.unlink()
            target.unlink()
        with MemoryBody(made) as body:
            self._store_capture(study, instance, body, key, uids, header)

    def _store_capture(
        self, study: Study, instance: Instance, body: Body, key: Key, uids: capture.CaptureUids,
        header: Mapping[int, bytes],
    ) -> None:  # fmt: skip
        """A capture passes the same gate as a copy, against the original's identifiers."""
        dataset = read_made(body)
        expected, traces = self._bench.remembered(instance, key, self._bench.profile(study))
        expected = expected.for_capture(uids.series, uids.sop)
        gate.check_outgoing(dataset, body.view, expected, traces, capture.OWN_ATTRIBUTES, header)
        copy = describe(dataset, body)
        self._bench.journal.begin_capture(instance.orthanc_id, copy, self._bench.now())
        self._bench.store(copy, body, copy.orthanc_id)
        self._bench.journal.finish_capture(instance.orthanc_id, copy.orthanc_id)


def choose_sources(instances: Sequence[Instance]) -> tuple[list[Instance], list[str]]:
    """Of which images a capture is made, and which are left out; both only those undecided.

    One per image, but one per series in CT and MR: the middle one by InstanceNumber. What was
    chosen once stays: a late slice never moves the middle.
    """
    chosen: list[Instance] = []
    left_out: list[str] = []
    series: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:
        if instance.role is not Role.SOURCE or instance.copy is None:
            continue
        if instance.analysis == CAPTURE_GONE:
            chosen.append(instance)
        elif instance.copy.modality in _SLICED:
            series[instance.copy.series_uid].append(instance)
        elif instance.stage is Stage.ANONYMIZED and instance.analysis is None:
            chosen.append(instance)
    for members in series.values():
        open_ones = [m for m in members if m.stage is Stage.ANONYMIZED and m.analysis is None]
        if open_ones and all(member.analysis is None for member in members):
            open_ones.sort(key=_place_in_series)
            chosen.append(open_ones.pop(len(open_ones) // 2))
        left_out += [member.orthanc_id for member in open_ones]
    return chosen, left_out


def _place_in_series(instance: Instance) -> tuple[int, str]:
    assert instance.copy is not None  # noqa: S101  (the caller has looked)
    return instance.copy.instance_number or 0, instance.copy.sop_uid
