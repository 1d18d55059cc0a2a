"""Starts the entrance, or prints how a password is kept.

python3 -m entrance              answers nginx
python3 -m entrance password     reads a reader's password from stdin, prints its Argon2 hash
"""

from __future__ import annotations

import os
import sys

import uvicorn

from entrance import accounts, log
from entrance.app import Entrance
from entrance.server import Server
from entrance.settings import SettingsError, load

_PORT = 8000


def main(arguments: list[str]) -> int:
    """0: it ended as it should; 2: a setting is wrong."""
    if arguments == ["password"]:
        sys.stdout.write(f"{accounts.hashed(sys.stdin.readline().rstrip(chr(10)))}\n")
        return 0
    if arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    log.start()
    try:
        settings = load(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"entrance: {error}\n")
        return 2
    config = uvicorn.Config(
        Entrance(settings).app(), host="0.0.0.0", port=_PORT,  # noqa: S104  (its networks are its own)
        log_config=None, access_log=False, server_header=False, date_header=False,
        http="httptools", ws="none", proxy_headers=False, h11_max_incomplete_event_size=None,
        timeout_keep_alive=120,
    )  # fmt: skip
    Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
