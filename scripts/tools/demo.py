"""The demo's driver: scans, watches the studies go their way, and checks the cloud.

Runs in the tools container, inside the stack's networks.
"""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pydicom
import requests
from PIL import Image

from tests.support import data
from tools.audit import Audit, Cloud, audit, study_alias
from tools.scanner import send

_STATUS = "http://router:8080/status"
_CLOUD = "http://cloud-orthanc:8042"
_PICTURE = Path("/output/segmentation.png")
_DEADLINE_S = 420.0


def main() -> int:
    begun = time.monotonic()
    cloud = Cloud(_CLOUD, "auditor", Path("/run/secrets/auditor_password").read_text().strip())
    key = bytes.fromhex(Path("/run/secrets/programme_key").read_text().strip().partition(":")[2])
    seed = data.fresh_seed()
    with tempfile.TemporaryDirectory() as folder:
        _say(
            "scanning: CT, MR and CR, a screening mammogram with its dose report, 100 CT slices with a screen"
        )
        sources = data.demo_studies(seed, Path(folder))
        ids = {study_alias(key, s.patient.patient_id, s.study_uid): s.study_uid for s in sources}
        before = cloud.instances()
        _say(f"sending {len(sources)} images of {len(ids)} studies to the truck by C-STORE")
        send(sources, "door", 4242)
        studies = _watch(ids)
        _say("checking the cloud PACS: every image there once, and nobody named")
        held = {ids[study["study"]]: study["held"] for study in studies}
        found = audit(cloud, sources, key, before, held)
        _save_picture(cloud, before)
    return _report(studies, found, time.monotonic() - begun)


def _report(studies: list[dict[str, Any]], found: Audit, seconds: float) -> int:
    delivered = sum(study["state"] == "DELIVERED" and not study["held"] for study in studies)
    held = sum(study["held"] > 0 for study in studies)
    for study in studies:
        print(f"  {study['study']}  {study['state']:<10} {study['images']:>3} images,"
              f" {study['captures']} segmentations: {study['way']}")  # fmt: skip
    print(f"  the cloud holds {len(found.arrived)} images and {found.captures} segmentations")
    print(f"demo: studies={len(studies)} delivered={delivered} held={held} lost={found.lost}"
          f" duplicates={found.duplicates} identifiers={found.identifiers}"
          f" seconds={seconds:.0f}")  # fmt: skip
    broken = found.lost or found.duplicates or found.identifiers
    return 1 if broken or delivered + held < len(studies) else 0


def _watch(ids: dict[str, str]) -> list[dict[str, Any]]:
    """Shows the studies on their way until all are at rest, and returns them."""
    begun, shown = time.monotonic(), ""
    while time.monotonic() - begun < _DEADLINE_S:
        studies = [s for s in _status()["studies"] if s["study"] in ids]
        states = Counter("ARRIVING" if s["arriving"] else s["state"] for s in studies)
        line = "  ".join(
            f"{state.lower()} {states[state]}"
            for state in ("ARRIVING", "RECEIVED", "ANONYMIZED", "ANALYSED", "DELIVERED", "HELD")
        )
        sent = sum(study["delivered"] for study in studies)
        line += f"  | {sent} images verified in the cloud"
        if line != shown:
            print(f"  {time.monotonic() - begun:5.1f} s  {line}", flush=True)
            shown = line
        if len(studies) == len(ids) and all(study["at_rest"] for study in studies):
            return studies
        time.sleep(0.5)
    _say("not everything came to rest in time; see `docker compose -p edge-demo logs router`")
    return [s for s in _status()["studies"] if s["study"] in ids]


def _status() -> dict[str, Any]:
    response = requests.get(_STATUS, timeout=10)
    response.raise_for_status()
    return dict(response.json())


def _save_picture(cloud: Cloud, before: set[str]) -> None:
    """The segmentation of a CT, as the cloud holds it."""
    captures = []
    for instance in sorted(cloud.instances() - before):
        dataset = pydicom.dcmread(io.BytesIO(cloud.file(instance)))
        if dataset.get("ManufacturerModelName") == "density-kmeans":
            captures.append(dataset)
    if captures:
        # The largest legend and picture: the mammogram's or the thorax's, whichever is there.
        best = max(captures, key=lambda capture: (capture.Columns == 1024, capture.Rows))  # noqa: PLR2004
        Image.fromarray(best.pixel_array).save(_PICTURE)


def _say(text: str) -> None:
    print(f"demo: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
