"""Looks at the fleet again and again, and shows what it found."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server

from fleet_qc import miner, picture, report
from fleet_qc.exporter import Exporter
from fleet_qc.prometheus import DAY_S, Prometheus, PrometheusError
from router.observe import log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet_qc.records import Mined

PICTURE, PAGE = "mining_report.png", "index.html"
_log = logging.getLogger(__name__)


def look(prometheus: Prometheus, now: float, days: int) -> Mined:
    """Mines so many whole days (UTC), yesterday the last of them.

    Raises PrometheusError.
    """
    return miner.mine(prometheus.history(int(now // DAY_S) - 1, days))


def write(mined: Mined, folder: Path) -> None:
    """Writes the picture and the page; readers see the old ones or the new ones, never halves."""
    folder.mkdir(parents=True, exist_ok=True)
    png = picture.draw(mined)
    for name, content in ((PICTURE, png), (PAGE, report.page(mined, png).encode())):
        fresh = folder / f".{name}"
        fresh.write_bytes(content)
        fresh.replace(folder / name)


def main(arguments: Sequence[str] | None = None) -> int:
    """Looks at the fleet every so often until it is stopped; returns the exit code."""
    asked = _parser().parse_args(arguments)
    log.set_up(program="fleet_qc")
    exporter = Exporter()
    stop = threading.Event()
    prometheus = Prometheus(asked.prometheus)
    if asked.once:
        return _once(asked, prometheus, exporter)
    registry = CollectorRegistry()
    registry.register(exporter)
    server, thread = start_http_server(asked.port, registry=registry)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        _once(asked, prometheus, exporter)
        stop.wait(asked.every_s)
    server.shutdown()
    thread.join()
    return 0


def _once(asked: argparse.Namespace, prometheus: Prometheus, exporter: Exporter) -> int:
    begun = time.monotonic()
    try:
        mined = look(prometheus, time.time(), asked.days)
    except PrometheusError as error:
        # The metric fleet_qc_last_success_timestamp_seconds grows old, and an alert says so.
        _log.error("the fleet could not be looked at: %s", error)
        return 1
    seconds = time.monotonic() - begun
    exporter.show(mined, time.time(), seconds)
    write(mined, asked.report)
    _log.info(
        "%d devices and views, %d findings, %.1f s", mined.streams, len(mined.findings), seconds
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet-qc", description=__doc__)
    environment = os.environ.get
    parser.add_argument(
        "--prometheus", default=environment("FLEET_QC_PROMETHEUS", "http://127.0.0.1:9090"),
        help="root of its HTTP API (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--days", type=int, default=30, help="how far back (default: %(default)s)")
    parser.add_argument("--every-s", type=float, default=900.0, help="default: %(default)s")
    parser.add_argument("--port", type=int, default=9109, help="metrics (default: %(default)s)")
    parser.add_argument(
        "--report", type=Path, default=Path("/var/lib/fleet-qc"),
        help="folder of the picture and the page (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--once", action="store_true", help="look once, write, and end")
    return parser
