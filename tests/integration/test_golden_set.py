"""The golden images in a running router: a result that moves is a metric of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import requests

from router.imaging.analysis import density
from router.pipeline import regression_images
from tests.support import data
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from router.app import App
    from tests.support.in_process import Router
    from tests.support.orthancs import Orthanc

SERIES = f'edge_router_golden_moved{{algorithm="{density.ANALYSIS.label}"}}'


def moved(app: App) -> list[float]:
    """What the router says at /metrics; nothing until the images were analysed."""
    text = requests.get(f"http://127.0.0.1:{app.port}/metrics", timeout=10).text
    return [float(line.split()[-1]) for line in text.splitlines() if line.startswith(SERIES)]


def test_a_golden_image_with_another_result_than_before_is_shown_and_stays_shown(
    tmp_path: Path, router: Router, truck: Orthanc, cloud: Orthanc
) -> None:
    folder = tmp_path / "golden"
    folder.mkdir()
    for number in range(2):
        image = data.radiograph(f"golden {number}", data.Patient.made("golden"), 96, 64)
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    router.write_config(truck.url, cloud.url, f'[analysis]\ngolden = "{folder}"\n')
    results = folder / regression_images.RESULTS
    for _ in range(2):  # accepted by the first, found again by the second
        with router.running() as app:
            assert until(lambda app=app: moved(app), what="the analysis") == [0.0]  # type: ignore[misc]
    known = json.loads(results.read_text())
    first = min(known[density.ANALYSIS.label])
    known[density.ANALYSIS.label][first] = "another"
    results.write_text(json.dumps(known))
    for _ in range(2):
        with router.running() as app:
            assert until(lambda app=app: moved(app), what="the analysis") == [1.0]  # type: ignore[misc]
    assert json.loads(results.read_text())[density.ANALYSIS.label][first] == "another"
    assert not truck.request("GET", "/instances").json()
    assert not cloud.request("GET", "/instances").json()
