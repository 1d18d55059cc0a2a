"""bench fleet: a fleet of 1,000 trucks in a real Prometheus.

1. QC: 30 days of 1,000 simulated trucks, 20 series each, every 5 minutes, 500 faults planted. Every
   twentieth truck is away for six hours in the middle and writes them when all others are done. The
   whole miner runs over the HTTP API; then once for every day, as it would have run, to see how long
   each fault stayed unseen and what was named without a fault.
2. Cardinality: 400 series of each of 1,000 trucks for 30 minutes; how long the shipped rules take.
3. The outage: the cloud's entrance away for 10 minutes with three restarts of vmagent; the query of a
   panel before and after all has arrived.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import requests
from testcontainers.core.network import Network

from fleet_qc import miner, picture
from fleet_qc.prometheus import Prometheus
from tests.support import fleet_sim, fleet_traffic, monitoring, remote_way, remote_write
from tests.support.orthancs import ROOT
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fleet_qc.records import History
    from tests.support.monitoring import Service

STEP_S = 300
#: Written at a time: half a day, so that no truck is far ahead of the others.
SLICE_S = 43_200
AWAY_EVERY, AWAY_S = 20, SLICE_S // 2
SERIES_A_REQUEST = 500
FIRST_NAMING_DAY = 8
#: So often a truck has two units of one modality; where one is broken it is the second.
SECOND_UNIT_EVERY = 10
ALLOWED_DAYS = 3
SERIES_A_TRUCK, MINUTES, CARDINALITY_STEP_S = 400, 30, 60
OUTAGE_S = 600
#: Prometheus has done with what was written when it uses less than this share of a processor.
_IDLE_SHARE, _LOOK_S, _SETTLING_S = 0.1, 5.0, 900.0
PARTS = ("qc", "rules", "outage")
#: The last line's figures, in its order; a run of one part says its own only.
FIGURES = (
    "series", "ingest_samples_s", "rules_s", "qc_s", "faults_found",
    "false_alarms_per_truck_month", "backfill_lost",
)  # fmt: skip


@dataclass(frozen=True)
class Month:
    """What the first part has to say."""

    series: int
    #: Samples a second.
    rate: float
    #: Seconds of the whole miner.
    qc_s: float
    #: Share of the faults.
    found: float
    #: Alarms per truck and month.
    false: float
    #: Samples.
    lost: int


@dataclass
class Counter:
    """What was written, and how long that took."""

    samples: int = 0
    seconds: float = 0.0


def _post(prometheus: Service, counter: Counter, many: Iterable[tuple[bytes, int]]) -> None:
    session = requests.Session()
    url = f"{prometheus.url}/api/v1/write"
    batch: list[bytes] = []

    def flush() -> None:
        if batch:
            begun = time.monotonic()
            remote_write.send(session, url, batch)
            counter.seconds += time.monotonic() - begun
            batch.clear()

    for one, samples in many:
        batch.append(one)
        counter.samples += samples
        if len(batch) >= SERIES_A_REQUEST:
            flush()
    flush()


# --- 1: QC --------------------------------------------------------------------------------------


def _write_month(
    prometheus: Service, fleet: fleet_sim.Fleet, first: int, last: int
) -> tuple[Counter, int]:
    """Everything in the order of time, and late what the trucks that were away have kept."""
    traffic = fleet_traffic.Traffic(fleet.history)
    counter = Counter()
    away_from = first + (last - first) // 2 // SLICE_S * SLICE_S
    kept: list[tuple[bytes, int]] = []
    for begin in range(first, last, SLICE_S):
        end = min(begin + SLICE_S, last)
        if begin != away_from:
            _post(prometheus, counter, ((o, n) for _, o, n in traffic.between(begin, end, STEP_S)))
            continue
        for part in (begin, begin + AWAY_S):
            now: list[tuple[bytes, int]] = []
            for truck, one, samples in traffic.between(part, part + AWAY_S, STEP_S):
                away = part == begin and int(truck[1:]) % AWAY_EVERY == 0
                (kept if away else now).append((one, samples))
            _post(prometheus, counter, now)
    late_samples = sum(samples for _, samples in kept)
    _post(prometheus, counter, kept)
    return counter, late_samples


def _lost(prometheus: Service, first: int, last: int, written: int) -> int:
    """Samples that were written and are not there. Counted day by day, as Prometheus limits."""
    found = 0
    for begin in range(first, last, fleet_traffic.DAY_S):
        end = min(begin + fleet_traffic.DAY_S, last)
        window = end - begin
        # A window is open on its left: the sample at its very end belongs to the next one.
        for metric in ("edge_router_qc_feature_count", "edge_router_qc_feature_sum",
                       "edge_router_qc_feature_squares", "edge_router_qc_flags_total",
                       "edge_router_device_info"):  # fmt: skip
            answer = prometheus.query(f"sum(count_over_time({metric}[{window}s]))", end - 1)
            found += int(float(answer[0]["value"][1]))
    return written - found


def score(history: History, fleet: fleet_sim.Fleet) -> tuple[float, float]:
    """Share of the faults named within three days, and false alarms per truck and month.

    A fault is found where its unit is named by a feature that the fault changes. A false alarm is
    every feature and kind in which a unit is named that is sound, or still is.
    """
    days = len(history.moments.days)
    begun = int(history.moments.days[0]) - int(fleet.history.moments.days[0])
    named: dict[tuple[fleet_sim.Unit, str, str], list[int]] = defaultdict(list)
    for end in range(FIRST_NAMING_DAY, days + 1):
        mined = miner.mine(history.until(end), with_drift=False)
        for finding in mined.findings:
            unit = finding.stream.truck, finding.stream.device
            named[unit, finding.feature, finding.kind].append(begun + end)
    found: set[fleet_sim.Unit] = set()
    false = 0
    for (unit, feature, _), seen in named.items():
        planted = fleet.faults.get(unit)
        if planted is None or min(seen) <= planted.day:
            false += 1
        elif feature in fleet_sim.SHOWS[planted.fault] and min(seen) - planted.day <= ALLOWED_DAYS:
            found.add(unit)
    trucks = len({stream.truck for stream in history.moments.streams})
    months = (days + 1 - FIRST_NAMING_DAY) / 30
    return len(found) / max(len(fleet.faults), 1), false / (trucks * months)


def bench_qc(network: Network, folder: Path, trucks: int, days: int, faults: int) -> Month:
    """A month of a fleet with faults, mined over the HTTP API."""
    today = int(time.time() // fleet_traffic.DAY_S)
    fleet = fleet_sim.fleet(
        trucks,
        days,
        seed=7,
        faults=faults,
        first_day=today - days,
        second_unit_every=SECOND_UNIT_EVERY,
    )
    first, last = (today - days) * fleet_traffic.DAY_S, today * fleet_traffic.DAY_S
    with _prometheus(network, folder) as prometheus:
        counter, late = _write_month(prometheus, fleet, first, last)
        lost = _lost(prometheus, first, last, counter.samples)
        rate = counter.samples / counter.seconds
        print(f"  {counter.samples} samples in {counter.seconds:.0f} s, {late} of them late")
        _settled(prometheus)
        reader = Prometheus(prometheus.url, timeout_s=600)
        used, begun = _processor_s(prometheus), time.monotonic()
        history = reader.history(today - 1, days)
        read_s = time.monotonic() - begun
        mined = miner.mine(history)
        qc_s = time.monotonic() - begun
        used = _processor_s(prometheus) - used
        print(
            f"  read {read_s:.1f} s ({used:.1f} s of processor in Prometheus), mined {qc_s - read_s:.1f} s, {len(mined.findings)} findings"
        )
    found, false = score(history, fleet)
    Path("mining_report.png").write_bytes(picture.draw(mined))
    return Month(fleet_traffic.Traffic(fleet.history).series, rate, qc_s, found, false, lost)


def _settled(prometheus: Service) -> None:
    """Waits until what was written is compacted: a month within minutes is no fleet's affair."""

    def rests() -> bool:
        before = _processor_s(prometheus)
        time.sleep(_LOOK_S)  # a share of a processor needs a span of time
        return _processor_s(prometheus) - before < _IDLE_SHARE * _LOOK_S

    until(rests, _SETTLING_S, what="Prometheus at rest")


def _processor_s(prometheus: Service) -> float:
    """What Prometheus has used of the processors since its start."""
    text = requests.get(f"{prometheus.url}/metrics", timeout=60).text
    (line,) = [x for x in text.splitlines() if x.startswith("process_cpu_seconds_total ")]
    return float(line.split()[1])


@contextmanager
def _prometheus(network: Network, folder: Path) -> Iterator[Service]:
    """With the shipped storage, and one block a day: a month is written within minutes.

    It scrapes nothing and has no rules: their samples of today would make the month's late ones.
    """
    shipped = (ROOT / "monitoring/prometheus/prometheus.yml").read_text()
    settings = folder / "prometheus.yml"
    settings.write_text(shipped.partition("rule_files:")[0])
    settings.chmod(0o644)
    with monitoring.running(
        "prometheus", monitoring.PROMETHEUS, network, "/-/ready",
        files={settings: "/etc/edge-prometheus/prometheus.yml"},
        command="--storage.tsdb.retention.time=400d --storage.tsdb.min-block-duration=1d "
        "--storage.tsdb.max-block-duration=1d --query.max-samples=500000000 --query.timeout=10m",
    ) as service:  # fmt: skip
        yield service


# --- 2: cardinality -----------------------------------------------------------------------------


def _rule_inputs(truck: str) -> list[dict[str, str]]:
    """One series of each metric that a rule of the truck asks for."""
    own = {"truck": truck, "site": "depot"}
    to = own | {"destination": "cloud"}
    return [
        {"__name__": name, **labels}
        for name, labels in (
            ("edge_router_build_info", own | {"version": "1"}),
            ("edge_router_oldest_undelivered_seconds", to),
            ("edge_router_disk_free_bytes", own),
            ("edge_router_disk_size_bytes", own),
            ("edge_router_instances_held", own | {"code": "UNREADABLE"}),
            ("edge_router_destination_paused", to),
            ("vmagent_remotewrite_packets_dropped_total", own | {"url": "1"}),
            ("edge_router_clock_offset_seconds", to),
            ("node_timex_offset_seconds", own),
            ("edge_router_orthanc_up", own),
            ("up", own | {"job": "router"}),
            ("edge_router_qc_flags_total", own | {"flag": "BLANK"}),
            ("edge_router_instances_received_total", own),
            ("edge_router_golden_moved", own | {"algorithm": "density-kmeans 1"}),
        )
    ]


def bench_cardinality(network: Network, trucks: int) -> tuple[int, float, float]:
    """Series, samples a second, and the slowest round of all rules together in seconds."""
    labels = []
    for number in range(trucks):
        truck = f"T{number:04d}"
        sets = _rule_inputs(truck)
        sets += [
            {"__name__": f"node_stand_in_{n % 50}", "truck": truck, "site": "depot", "of": str(n)}
            for n in range(SERIES_A_TRUCK - len(sets))
        ]
        labels += [remote_write.labels(one) for one in sets]
    counter = Counter()
    begun = int(time.time()) - MINUTES * 60
    with monitoring.running("prometheus", monitoring.PROMETHEUS, network, "/-/ready") as prometheus:
        parts = [
            np.arange(begun + part, begun + part + 600, CARDINALITY_STEP_S)
            for part in range(0, MINUTES * 60, 600)
        ]
        # The last is of now, however long the others took: rules look back for five minutes.
        for part in (*parts, None):
            times = np.array([int(time.time())]) if part is None else part
            frame = remote_write.stamps(times * 1000)
            values = times.astype(float)
            many = ((remote_write.series(one, frame, values), len(times)) for one in labels)
            _post(prometheus, counter, many)
        head = prometheus.query("prometheus_tsdb_head_series")
        rounds = until(lambda: _rule_rounds(prometheus), 180, what="a round of the rules")
        for _ in range(3):
            time.sleep(30)  # the next round
            rounds = max(rounds, _rule_rounds(prometheus))
        print(f"  head: {head[0]['value'][1] if head else '?'} series")
    return len(labels), counter.samples / counter.seconds, rounds


def _rule_rounds(prometheus: Service) -> float:
    """Seconds of all rule groups, once they have been evaluated over the data."""
    answer = requests.get(f"{prometheus.url}/api/v1/rules", timeout=60).json()
    groups = answer["data"]["groups"]
    recorded = prometheus.query("count(truck:last_seen:timestamp_seconds)")
    if not recorded or any(group["evaluationTime"] == 0 for group in groups):
        return 0.0
    return float(sum(group["evaluationTime"] for group in groups))


# --- 3: the outage ------------------------------------------------------------------------------


def bench_outage(folder: Path, seconds: int) -> remote_way.Outage:
    """What is lost while the cloud is away and vmagent is restarted three times."""
    with remote_way.way(folder, 2) as way, way.truck() as vmagent:
        return remote_way.outage(way, vmagent, seconds, restarts=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trucks", type=int, default=1000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--outage-s", type=int, default=OUTAGE_S)
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="this part alone; may be given twice"
    )
    asked = parser.parse_args()
    parts = asked.only or PARTS
    figures: dict[str, str] = {}
    series, lost, rates = 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if "qc" in parts:
            with Network() as network:
                month = bench_qc(network, folder, asked.trucks, asked.days, asked.faults)
            series, lost = series + month.series, lost + month.lost
            rates.append(month.rate)
            figures |= {
                "qc_s": f"{month.qc_s:.1f}",
                "faults_found": f"{100 * month.found:.1f}%",
                "false_alarms_per_truck_month": f"{month.false:.3f}",
            }
        if "rules" in parts:
            with Network() as network:
                most, rate, rules_s = bench_cardinality(network, asked.trucks)
            print(f"  cardinality: {most} series, {rate:.0f} samples/s")
            series += most
            rates.append(rate)
            figures["rules_s"] = f"{rules_s:.2f}"
        if "outage" in parts:
            away = bench_outage(folder, asked.outage_s)
            print(
                f"  outage of {asked.outage_s} s: {away.missing} scrapes missing,"
                f" {away.of_restarts} of them by restarts; longest gap"
                f" {away.longest_gap_s:.0f} s; the dashboard stood still for"
                f" {away.flat_before_s:.0f} s before and {away.flat_after_s:.0f} s after all had"
                " arrived"
            )
            lost += away.missing - away.of_restarts  # a restart's own are counted above
    if rates:
        figures |= {"series": str(series), "ingest_samples_s": f"{min(rates):.0f}"}
    if not {"qc", "outage"}.isdisjoint(parts):
        figures["backfill_lost"] = str(lost)
    said = " ".join(f"{name}={figures[name]}" for name in FIGURES if name in figures)
    print(f"bench fleet: trucks={asked.trucks} {said}")


if __name__ == "__main__":
    main()
