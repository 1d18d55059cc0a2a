"""A container's health check: what starts it is dear, so it stays, and asks every half minute."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.orthancs import IMAGES, ROOT, suite
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def _served(answer: Callable[[], int]) -> Iterator[tuple[int, list[str]]]:
    """A server of this machine: its port, and the Authorization of each request so far."""
    heard: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers.get("Authorization", ""))
            self.send_response(answer())
            self.end_headers()
            self.wfile.write(b"x" * 100_000)

        def log_message(self, *_: object) -> None:
            """Not the test's output."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1]), heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Check:
    """The script as it is shipped, with its place in memory and its pause at a test's disposal."""

    def __init__(self, folder: Path, rest_s: int, rounds: int = 1) -> None:
        text = (ROOT / "monitoring" / "healthy").read_text()
        assert "rest_s=29 rounds=20" in text
        assert "/dev/shm/healthy" in text  # noqa: S108
        text = text.replace("rest_s=29 rounds=20", f"rest_s={rest_s} rounds={rounds}")
        self._script = folder / "healthy"
        self._script.write_text(text.replace("/dev/shm/healthy", str(folder / "well")))  # noqa: S108

    def run(self, *arguments: str) -> tuple[int, float]:
        """Its exit code, and how long it took, in seconds."""
        begun = time.monotonic()
        done = subprocess.run(
            ["bash", self._script, *arguments], capture_output=True, check=False, timeout=60
        )
        assert not done.stderr, done.stderr
        return done.returncode, time.monotonic() - begun


def test_the_first_good_answer_is_told_at_once_and_then_it_asks_in_long_pauses(
    tmp_path: Path,
) -> None:
    check = _Check(tmp_path, rest_s=3, rounds=2)
    with _served(lambda: 200) as (port, heard):
        first, took = check.run(str(port), "/")
        assert (first, took < 3) == (0, True)
        second, took = check.run(str(port), "/")
        assert (second, took >= 2 * 3) == (0, True)
        assert len(heard) == 1 + 2


@pytest.mark.alone
def test_a_service_that_starts_is_seen_within_three_seconds_of_being_ready(tmp_path: Path) -> None:
    check = _Check(tmp_path, rest_s=29)
    ready_at = time.monotonic() + 4
    with _served(lambda: 200 if time.monotonic() >= ready_at else 503) as (port, _):
        code, _ = check.run(str(port), "/")
    assert code == 0
    assert time.monotonic() - ready_at < 3


def test_a_service_that_falls_ill_is_told_and_its_recovery_is_seen_at_once(tmp_path: Path) -> None:
    check = _Check(tmp_path, rest_s=3, rounds=20)
    codes = [200, 200, 503, 200]
    with _served(lambda: codes.pop(0)) as (port, _):
        assert check.run(str(port), "/")[0] == 0
        assert check.run(str(port), "/")[0] == 1
        code, took = check.run(str(port), "/")
        assert (code, took < 3) == (0, True)


@pytest.mark.parametrize("status", [401, 404, 500, 503])
def test_only_200_is_well(status: int, tmp_path: Path) -> None:
    with _served(lambda: status) as (port, _):
        assert _Check(tmp_path, rest_s=1).run(str(port), "/")[0] == 1


def test_it_signs_in_with_the_line_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "line").write_text("Authorization: Basic c2VjcmV0\n")
    with _served(lambda: 200) as (port, heard):
        assert _Check(tmp_path, 1).run(str(port), "/", str(tmp_path / "line"))[0] == 0
    assert heard == ["Basic c2VjcmV0"]
    assert _Check(tmp_path, 1).run("1", "/", str(tmp_path / "none"))[0] == 1


def test_every_service_of_ours_is_checked_in_this_way() -> None:
    done = subprocess.run(
        ["docker", "compose", "--project-directory", ROOT, "config", "--images"],
        check=True, capture_output=True, text=True,
        env=os.environ | {"COMPOSE_PROFILES": "truck,cloud", "ORTHANC_SUITE": suite(),
             "COMPOSE_DISABLE_ENV_FILE": "1"},
    )  # fmt: skip
    images = done.stdout.split()
    assert {f"{IMAGES}/router", f"{IMAGES}/orthanc-truck:{suite()}"} <= set(images)
    for image in images:
        done = subprocess.run(
            ["docker", "image", "inspect", image], check=True, capture_output=True, text=True
        )
        check = json.loads(done.stdout)[0]["Config"]["Healthcheck"]
        assert check["Test"][:2] == ["CMD", "healthy"], image
        # Longer than it stays, with an answer each time that just comes.
        assert check["Timeout"] >= 20 * (29 + 6 + 3) * 1_000_000_000, image
        assert check["Retries"] == 2, image


@pytest.mark.alone
def test_a_container_is_well_within_three_seconds() -> None:
    container = subprocess.run(
        ["docker", "run", "--detach", "--rm", "--network", "none", "--read-only",
         f"{IMAGES}/node-exporter"], check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    begun = time.monotonic()

    def health() -> str:
        done = subprocess.run(
            ["docker", "inspect", "--format", "{{.State.Health.Status}}", container],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    try:
        until(lambda: health() == "healthy", 15, what="the check's first word")
        assert time.monotonic() - begun < 3
    finally:
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
