"""Certificate authorities of the tests' own, and certificates that they sign."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM files."""

    file: Path
    key: Path


class Authority:
    """A certificate authority in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}-key.pem"
        _openssl(
            "req", "-x509", *_EC, "-days", "2", "-subj", f"/CN={name}",
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
            "-keyout", str(self._key), "-out", str(self.file),
        )  # fmt: skip
        self.file.chmod(0o444)

    def sign(self, name: str, usage: str, hosts: str = "DNS:localhost,IP:127.0.0.1") -> Certificate:
        """A certificate for the hosts; ``usage``: serverAuth or clientAuth."""
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}-key.pem")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        _openssl("req", "-new", *_EC, "-subj", f"/CN={name}",
                 "-keyout", str(made.key), "-out", str(request))  # fmt: skip
        extensions.write_text(
            f"subjectAltName={hosts}\nextendedKeyUsage={usage}\nbasicConstraints=CA:FALSE\n"
        )
        _openssl(
            "x509", "-req", "-in", str(request), "-CA", str(self.file), "-CAkey", str(self._key),
            "-CAcreateserial", "-days", "1", "-extfile", str(extensions),
            "-out", str(made.file),
        )  # fmt: skip
        # Of tests that live for a minute; containers read them as another user.
        for file in (made.file, made.key):
            file.chmod(0o444)
        return made


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
