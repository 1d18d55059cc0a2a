"""A router in the process of its test, with files of its own."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from tests.support.orthancs import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from router.app import App

    #: Waits until so many studies are known and all are at rest, and returns them.
    AtRest: TypeAlias = Callable[..., list[dict[str, Any]]]

KEY = "test-key:" + "5a" * 32


class Router:
    """A router in this process, with its files in a folder of the test."""

    def __init__(self, folder: Path, truck_url: str, cloud_url: str) -> None:
        self.folder = folder
        self.config = folder / "config.toml"
        (folder / "key").write_text(KEY)
        (folder / "password").write_text(PASSWORD)
        self.write_config(truck_url, cloud_url)

    def write_config(self, truck_url: str, cloud_url: str, extra: str = "") -> None:
        self.config.write_text(f"""
[truck]
id = "TRUCK1"
[orthanc]
url = "{truck_url}"
password_file = "{self.folder}/password"
timeout_s = 30
[journal]
path = "{self.folder}/journal.db"
spool = "{self.folder}/spool"
audit = "{self.folder}/audit.jsonl"
[deid]
key_files = ["{self.folder}/key"]
[intake]
poll_s = 0.5
reconcile_s = 2
[api]
port = 0
[[destinations]]
kind = "stow"
name = "cloud"
url = "{cloud_url}/dicom-web"
user = "truck"
password_file = "{self.folder}/password"
readback = "orthanc"
readback_url = "{cloud_url}"
connect_timeout_s = 2
answer_timeout_s = 20
{extra}
""")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, with --json."""
        return subprocess.run(
            [sys.executable, "-m", "router", *arguments, "--json", "--config", str(self.config)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip

    @contextmanager
    def running(self) -> Iterator[App]:
        from router.app import App  # noqa: PLC0415  (unit tests never need it)
        from router.config.settings import Settings  # noqa: PLC0415

        app = App(Settings.load(self.config))
        app.start()
        try:
            yield app
        finally:
            app.close()
