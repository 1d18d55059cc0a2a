"""What is behind a link in its own tests."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Sink:
    """Takes what comes, remembers when, and answers each ``?`` with ``!``."""

    def __init__(self) -> None:
        self.received = 0
        self.last_at = 0.0
        self.resets = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._server.getsockname()[1]))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._take, args=(connection,), daemon=True).start()

    def _take(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(1 << 20):
                    self.received += len(data)
                    self.last_at = time.monotonic()
                    if data.endswith(b"?"):
                        connection.sendall(b"!")
            except ConnectionResetError:
                self.resets += 1

    def close(self) -> None:
        self._server.close()
