"""bench delivery: the same studies, the same link, side by side with what others use.

``docs/measuring.md`` says how each figure is made.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks import rivals
from tests.benchmarks.rivals import Load, Ours, Outcome, PeerJob
from tests.faults.__main__ import percentile
from tests.link import packets
from tests.link.conditions import Conditions
from tests.link.emulator import Link
from tests.support import data
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.rivals import AnyLink

RTT_S = 0.08
CUT_S = 45.0
SYSTEMS = ("ours", "peer", "forwarder")
#: What the images become by lossless compression, roughly: where the cut is put.
_COMPRESSED = 0.42
_OUTAGES = 10
_OUTAGE_S = (1.0, 20.0)
#: With loss one connection gets a quarter of the link: the load has as many large bodies as we have
#: connections.
_LOSS = 0.02
_LOSSY_SLICES, _LOSSY_VIEWS = 40, 4


@dataclass
class Constrained:
    """What one link showed of all systems, and of ours alone."""

    outcomes: dict[str, Outcome]
    pixel_bytes: int
    floor_bytes: int
    goodput: float
    wasted_bytes: float
    cuts: int
    recoveries: list[float]

    def against(self, other: str) -> float:
        return self.outcomes["ours"].seconds / self.outcomes[other].seconds

    @property
    def bytes_ratio(self) -> float:
        return self.outcomes["ours"].wire_bytes / self.pixel_bytes

    @property
    def bytes_vs_floor(self) -> float:
        return self.outcomes["ours"].wire_bytes / self.floor_bytes


class DeliveryBenchmark:
    """Runs it all in one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._seed = seed
        self._number = 0
        #: One that has orthanc-tools; scripts/bench makes it.
        self._python = os.environ.get("FORWARDER_PYTHON", sys.executable)

    def place(self) -> Path:
        self._number += 1
        return self._folder / str(self._number)

    # --- links of mobile networks ---------------------------------------------------------------

    def constrained(
        self,
        conditions: Conditions,
        load: Load,
        *,
        cut_s: float = 0.0,
        outages: int = 0,
        systems: Sequence[str] = SYSTEMS,
        packets: bool = False,
    ) -> Constrained:
        """Systems in parallel, each on a link of its own; ours is among them."""
        results: dict[str, Outcome] = {}
        ours: list[Constrained] = []

        def one(name: str, place: Path) -> None:
            with rivals.system(
                name, place, conditions, self._python, self._seed, packets=packets
            ) as (made, link):
                compressed = _COMPRESSED if isinstance(made, Ours) else 1.0
                results[name] = rivals.measure(made, link, load, cut_s=cut_s, compressed=compressed)
                say(results[name])
                if isinstance(made, Ours):
                    ours.append(self._ours(made, link, load, conditions, results, outages))

        with ThreadPoolExecutor(len(systems)) as pool:
            for running in [pool.submit(one, name, self.place()) for name in systems]:
                running.result()
        return ours[0]

    def _ours(
        self, made: Ours, link: AnyLink, load: Load, conditions: Conditions,
        results: dict[str, Outcome], outages: int,
    ) -> Constrained:  # fmt: skip
        """What only our own receipts and metrics tell."""
        receipts = made.receipts()
        recoveries = list(link.recoveries)
        cuts = len(recoveries)
        wasted = made.router.metric("edge_router_delivery_wasted_bytes_total")
        floor_bytes = sum(r["size"] for r in receipts)
        useful = payload_bps(receipts, link, results["ours"].wire_bytes - wasted)
        recoveries += self._outages(made, link, outages)
        return Constrained(
            outcomes=results,
            pixel_bytes=load.pixel_bytes,
            floor_bytes=floor_bytes,
            goodput=useful / (conditions.rate_bps or useful),
            wasted_bytes=wasted,
            cuts=cuts,
            recoveries=recoveries,
        )

    def _outages(self, made: Ours, link: AnyLink, outages: int) -> list[float]:
        """Silent outages of random lengths while a series goes; seconds until an image goes again."""
        chance = random.Random(self._seed)
        found: list[float] = []
        if not outages:
            return found
        made.take(rivals.ct_load(data.fresh_seed(), slices=outages * 8))
        for _ in range(outages):
            before, carried = len(link.recoveries), link.up_bytes
            until(lambda c=carried: link.up_bytes > c + 100_000, 120, what="traffic")  # type: ignore[misc]
            link.cut()
            time.sleep(chance.uniform(*_OUTAGE_S))  # its length is the point
            link.restore()
            until(lambda b=before: len(link.recoveries) > b, 300, what="an image after an outage")  # type: ignore[misc]
            found.append(link.recoveries[-1])
        return found

    # --- no link at all ---------------------------------------------------------------------------

    def unlimited(self, make: str, rounds: int = 3) -> float:
        """Our MB/s over the peer job's, both of images that are already anonymized.

        One after the other, straight to the cloud's container; the best of some rounds of each.
        """
        ours: list[float] = []
        peer: list[float] = []
        for _ in range(rounds):
            load = loads(make)
            ours.append(self._unlimited_ours(load))
            peer.append(self._unlimited_peer(load))
        print(f"  unlimited {make}: ours {text(ours)} MB/s, peer job {text(peer)} MB/s", flush=True)
        return max(ours) / max(peer)

    def _unlimited_ours(self, load: Load) -> float:
        with rivals.system("ours", self.place(), None, self._python, self._seed) as (made, link):
            assert isinstance(made, Ours)
            assert isinstance(link, Link)
            link.cut("reset")
            made.take(load)
            made.prepared(load.studies)
            made.router.stop()
            made.point_at(f"{rivals.inside(made.cloud)}:8042")
            made.router.start()
            made.router.wait_up()
            made.deliver(load)
            receipts = made.receipts()
            begun = min(r["begun_at"] for r in receipts)
            ended = max(r["verified_at"] for r in receipts)
            assert rivals.arrived(made.cloud, load) == (len(load.images), 0)
            return load.pixel_bytes / 1e6 / float(ended - begun)

    def _unlimited_peer(self, load: Load) -> float:
        with rivals.system("peer", self.place(), None, self._python, self._seed) as (made, _):
            assert isinstance(made, PeerJob)
            rivals.add_peer(made.source, f"{rivals.inside(made.cloud)}:8042")
            made.take(load)
            begun = time.monotonic()
            made.deliver(load)
            return load.pixel_bytes / 1e6 / (time.monotonic() - begun)


def payload_bps(receipts: Sequence[dict[str, Any]], link: AnyLink, needed: float) -> float:
    """Bits per second of images that the link carried while it had some to carry, before any cut.

    From the first byte of the first image until the cut, or the last answer where there was none.
    ``needed``: bytes on the link less the wasted; the share of it that is not images (heads,
    probes, read-backs) is taken off.
    """
    size = sum(r["size"] for r in receipts)
    begun = min(r["begun_at"] for r in receipts)
    if link.first_cut_at == math.inf:
        return float(size * 8 / (max(r["sent_at"] for r in receipts) - begun))
    cut_at = time.time() - (time.monotonic() - link.first_cut_at)
    return float(link.up_bytes_at_first_cut * (size / needed) * 8 / (cut_at - begun))


def loads(kind: str) -> Load:
    """Fresh images: 100 CT slices, or the four views of a mammogram."""
    seed = data.fresh_seed()
    return rivals.ct_load(seed, 100) if kind == "ct" else rivals.mg_load(seed, 4)


def made_of(slices: int, views: int) -> Load:
    """Fresh images: so many CT slices, and so many views of a mammogram."""
    seed = data.fresh_seed()
    load = rivals.ct_load(seed, slices)
    return rivals.both(load, rivals.mg_load(seed, views)) if views else load


def text(values: Sequence[float]) -> str:
    return "/".join(f"{value:.0f}" for value in values)


_printing = threading.Lock()


def say(outcome: Outcome) -> None:
    with _printing:
        cut = f" and {outcome.cut_s:.0f} s cut" if outcome.cut_s else ""
        print(
            f"  {outcome.name:<10} {outcome.seconds:7.1f} s{cut}"
            f"  up {outcome.wire_bytes / 1e6:6.1f} MB  down {outcome.down_bytes / 1e6:5.2f} MB"
            f"  arrived {outcome.arrived} of {outcome.expected}, doubled {outcome.doubled}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench delivery", description=__doc__)
    parser.add_argument("--full", action="store_true", help="20, 5 and 1 Mbit/s, 0 and 2 %% loss")
    parser.add_argument(
        "--only", nargs=2, type=float, metavar=("MBIT", "LOSS"),
        help="one link without a cut, and nothing else: 5 0.02",
    )  # fmt: skip
    parser.add_argument(
        "--packets", action="store_true",
        help="with --only: ours alone, packet by packet with this system's own TCP",
    )  # fmt: skip
    parser.add_argument("--slices", type=int, default=60)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skip-unlimited", action="store_true")
    asked = parser.parse_args()
    # Told to end, it still removes its containers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        bench = DeliveryBenchmark(folder, asked.seed)
        if asked.only:
            rate_mbit, loss = asked.only
            uncut(
                bench, rate_mbit, loss, made_of(asked.slices, asked.views),
                (Ours.name,) if asked.packets else SYSTEMS, packets=asked.packets,
            )  # fmt: skip
        else:
            print(default(bench, asked))


def default(bench: DeliveryBenchmark, asked: argparse.Namespace) -> str:
    """Everything that the last line tells; that line."""
    ct = mg = 0.0
    if not asked.skip_unlimited:
        ct, mg = bench.unlimited("ct"), bench.unlimited("mg")
    load = made_of(asked.slices, asked.views)
    print(f"  5 Mbit/s, 80 ms, one cut of {CUT_S:.0f} s, {load.pixel_bytes / 1e6:.0f} MB of"
          " pixels", flush=True)  # fmt: skip
    at_5 = bench.constrained(
        Conditions(rate_bps=5e6, rtt_s=RTT_S), load, cut_s=CUT_S, outages=_OUTAGES
    )
    modelled, own = lossy(bench, 5, _LOSS)
    if asked.full:
        full(bench)
    return (
        f"bench delivery: goodput_5mbit={at_5.goodput:.0%} goodput_2loss={own:.0%}"
        f" goodput_2loss_cubic={modelled:.0%}"
        f" bytes_ratio={at_5.bytes_ratio:.3f} bytes_vs_floor={at_5.bytes_vs_floor:.3f}"
        f" wasted_per_cut_kb={at_5.wasted_bytes / max(at_5.cuts, 1) / 1000:.0f}"
        f" vs_peer_seconds={at_5.against('peer'):.3f}"
        f" vs_forwarder_seconds={at_5.against('forwarder'):.3f}"
        f" recovery_s={percentile(at_5.recoveries, 0.95):.1f}"
        f" unlimited_ct_vs_peer={ct:.2f} unlimited_mg_vs_peer={mg:.2f}"
    )


def lossy(bench: DeliveryBenchmark, rate_mbit: float, loss: float) -> tuple[float, float]:
    """Our goodput where packets are lost: a modelled CUBIC's, and this system's own TCP's.

    The second is nan where the system does not let us make a link of packets.
    """
    load = (_LOSSY_SLICES, _LOSSY_VIEWS)
    ours = (Ours.name,)
    modelled = uncut(bench, rate_mbit, loss, made_of(*load), ours).goodput
    if not packets.is_possible():
        print("  packet by packet: needs root, /dev/net/tun and ip", flush=True)
        return modelled, math.nan
    return modelled, uncut(bench, rate_mbit, loss, made_of(*load), ours, packets=True).goodput


def full(bench: DeliveryBenchmark) -> None:
    """Every rate, with and without loss; smaller where it would take an hour."""
    for rate_mbit, slices, views in ((20, 60, 2), (5, 40, 1), (1, 12, 0)):
        for loss in (0.0, _LOSS):
            uncut(bench, rate_mbit, loss, made_of(slices, views))


def uncut(
    bench: DeliveryBenchmark, rate_mbit: float, loss: float, load: Load, systems: Sequence[str] = SYSTEMS,
    *, packets: bool = False,
) -> Constrained:  # fmt: skip
    """One link without a cut; prints what came of it."""
    kind = "packet by packet" if packets else "modelled"
    print(f"  {rate_mbit:g} Mbit/s, 80 ms, {loss:.0%} loss ({kind}),"
          f" {load.pixel_bytes / 1e6:.0f} MB of pixels", flush=True)  # fmt: skip
    conditions = Conditions(rate_bps=rate_mbit * 1e6, rtt_s=RTT_S, loss=loss)
    found = bench.constrained(conditions, load, systems=systems, packets=packets)
    compared = "".join(
        f", {found.against(other):.3f} of the {other}'s seconds"
        for other in systems
        if other != Ours.name
    )
    print(
        f"  ours: goodput {found.goodput:.0%}, bytes_vs_floor {found.bytes_vs_floor:.3f},"
        f" bytes_ratio {found.bytes_ratio:.3f}{compared}",
        flush=True,
    )
    return found


if __name__ == "__main__":
    main()
