"""Runs the door until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys

from door.figures import log
from door.service import Door
from door.settings import Settings, SettingsFault


async def _run(settings: Settings) -> None:
    door = Door(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await door.start()
    log("INFO", "start", "the scanner's door is open", port=door.port)
    try:
        await stop.wait()
    finally:
        await door.close()
        log("INFO", "stop", "the scanner's door is closed")


def main() -> int:
    """0 after a signal, 2 where the settings cannot be used."""
    try:
        settings = Settings.load(os.environ)
        # A descriptor for each that waits, and two for each association.
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        asyncio.run(_run(settings))
    except SettingsFault as fault:
        log("ERROR", "start", str(fault), code="SETTINGS_INVALID")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
