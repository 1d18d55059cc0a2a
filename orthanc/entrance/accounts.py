"""Who has an account: a folder with a file each, read at each question.

    trucks/TRUCK1.json   {"truck": "TRUCK1", "store_sha256": "…", "metrics_sha256": "…"}
    readers/radiologist  $argon2id$…

A truck has two users: ``truck-TRUCK1`` stores images, ``metrics-TRUCK1`` writes metrics.

Their passwords are 192 random bits made by `scripts/secrets`: one digest is enough for them,
and a stolen truck learns nothing of another. People choose theirs: they are kept by Argon2.
Removing a file revokes one account, and no other, at once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from entrance.routes import Who

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
#: Of a truck's users: what their names begin with, who they are, and where their digest stands.
_USERS = {"truck-": (Who.STORE, "store_sha256"), "metrics-": (Who.METRICS, "metrics_sha256")}
#: Longer ones are nobody's, and Argon2 would read all of them.
_LONGEST = 1024

#: 19 MiB and two passes (OWASP's smallest): one at a time fits into the entrance's memory.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Identity:
    """Who a request comes from."""

    who: Who
    #: Of the truck, or of the reader.
    name: str


def digest(password: str) -> str:
    """How a machine's password is kept."""
    return hashlib.sha256(password.encode()).hexdigest()


def hashed(password: str) -> str:
    """How a person's password is kept."""
    return _HASHER.hash(password)


#: Verified for names that nobody has, so that the answer takes as long.
_NOBODY = hashed("")


class Accounts:
    """The accounts of a folder. Thread-safe."""

    def __init__(self, folder: Path, *, certificates: bool = False) -> None:
        self._folder = folder
        self._certificates = certificates

    def machine(self, user: str, password: str, certificate: str) -> Identity | None:
        """The truck whose user shows this password; None: nobody.

        ``certificate``: the common name of a client certificate that was verified, or empty. Where
        certificates are required, a truck needs one with its own name.
        """
        if len(password) > _LONGEST:
            return None
        for prefix, (who, key) in _USERS.items():
            name = user.removeprefix(prefix)
            if name == user:
                continue
            truck = self.truck(name)
            if (
                truck is not None
                and _same(digest(password), str(truck.get(key, "")))
                and certificate in ({name} if self._certificates else {name, ""})
            ):
                return Identity(who, name)
        return None

    def truck(self, name: str) -> dict[str, object] | None:
        """What is known of a truck; None: there is none of that name."""
        if not _NAME.fullmatch(name):
            return None
        try:
            found = json.loads(self._line(f"trucks/{name}.json"))
        except ValueError:
            return None
        return found if isinstance(found, dict) and found.get("truck") == name else None

    def is_reader(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name) and self._line(f"readers/{name}"))

    def reader(self, name: str, password: str) -> Identity | None:
        """The person who shows this password; None: nobody. Takes a processor for 30 ms."""
        if len(password) > _LONGEST:
            return None
        kept = self._line(f"readers/{name}") if _NAME.fullmatch(name) else ""
        with _ONE_AT_A_TIME:
            try:
                _HASHER.verify(kept if kept.startswith("$argon2") else _NOBODY, password)
            except (VerificationError, InvalidHashError):
                return None
        return Identity(Who.READER, name) if kept.startswith("$argon2") else None

    def is_known(self, user: str) -> bool:
        """Whether the name may be logged: others can be a password in the wrong field."""
        return self.is_reader(user) or any(
            user.startswith(prefix) and self.truck(user.removeprefix(prefix)) is not None
            for prefix in _USERS
        )

    def _line(self, path: str) -> str:
        try:
            return (self._folder / path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""


def _same(shown: str, kept: str) -> bool:
    return bool(kept) and hmac.compare_digest(shown.encode(), kept.encode())
