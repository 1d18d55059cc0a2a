"""The stack comes back by itself when the engine, and with it every container, is restarted."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pydicom
import pytest

from tests.support import data, scanner
from tests.support.orthancs import ROOT
from tests.support.waiting import until
from tools.audit import audit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.stack import Stack


@pytest.mark.alone
@pytest.mark.skipif(
    os.environ.get("EDGE_TEST_RESTARTS_ENGINE") != "1",
    reason="stops every container of this machine: only where scripts/engine started the engine",
)
def test_after_a_restart_of_the_engine_in_mid_study_nothing_is_lost_or_doubled(
    stack: Stack, tmp_path: Path
) -> None:
    seed = data.fresh_seed()
    sources = data.demo_studies(seed, tmp_path, slices=30, mg_rows=1024)
    ids = {stack.alias(s.patient.patient_id, s.study_uid): s.study_uid for s in sources}
    before = stack.cloud().instances()
    images = [pydicom.dcmread(source.path) for source in sources]
    assert set(scanner.store(images, stack.port("door", 4242))) == {scanner.SUCCESS}
    until(
        lambda: any(s["state"] != "RECEIVED" for s in stack.studies() if s["study"] in ids),
        what="the first study on its way",
    )
    subprocess.run(["pkill", "-TERM", "-x", "dockerd"], check=True)
    until(
        lambda: subprocess.run(["pgrep", "-x", "dockerd"], check=False).returncode != 0,
        60,
        what="the end of the engine",
    )
    subprocess.run([ROOT / "scripts" / "engine", "trixie"], check=True, capture_output=True)
    until(stack.studies, 90, what="the router after the restart")
    held = {ids[s["study"]]: s["held"] for s in stack.at_rest(ids, 180)}
    found = audit(stack.cloud(), sources, stack.key(), before, held)
    assert (found.lost, found.duplicates, found.identifiers) == (0, 0, 0)
    assert len(found.arrived) == len(sources) - 1  # all but the screen of the dose
