"""A router in the process of its test, with files of its own."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from tests.support.orthancs import PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.app import App

    #: Waits until so many studies are known and all are at rest, and returns them.
    AtRest: TypeAlias = Callable[..., list[dict[str, Any]]]

KEY = "test-key:" + "5a" * 32
#: Forks commands from a process that has imported the router already: that takes more of the
#: processor than most commands do.
_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["router.__main__", "pytest", __name__])


def _run(arguments: list[str], out: Path, err: Path) -> NoReturn:
    """What ``python -m router`` does with its arguments, its streams in two files."""
    for stream, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream)
    from router.__main__ import main  # noqa: PLC0415  (in the new process alone)

    sys.exit(main(arguments))


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
        """The command line, with --json, in a process of its own."""
        asked = [*arguments, "--json", "--config", str(self.config)]
        with TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            process = _WARM.Process(target=_run, args=(asked, out, err))
            process.start()
            process.join(60)
            if process.exitcode is None:
                process.kill()
                process.join()
                raise subprocess.TimeoutExpired(asked, 60)
            return subprocess.CompletedProcess(
                asked, process.exitcode, out.read_text(), err.read_text()
            )

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
