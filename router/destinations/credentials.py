"""How the router shows a destination who it is: a password, or a token that is renewed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from requests.auth import AuthBase

from router.records.errors import Code, DestinationPaused, SettingsError

if TYPE_CHECKING:
    import requests

#: RFC 6750, 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")


def secret(path: Path, destination: str) -> str:
    """The text of a file with a password or a token. Raises SettingsError (SECRET_UNREADABLE)."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise SettingsError(
            Code.SECRET_UNREADABLE, f"{path} of destination {destination} cannot be read."
        ) from None


class BearerToken(AuthBase):
    """A token from a file (RFC 6750), read for each request: whoever renews it needs no restart."""

    def __init__(self, path: Path, destination: str) -> None:
        self._path = path
        self._destination = destination

    def read(self) -> str:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        token = secret(self._path, self._destination)
        if not _TOKEN.fullmatch(token):
            raise SettingsError(
                Code.SECRET_UNREADABLE,
                f"{self._path} of destination {self._destination} holds no token.",
            )
        return token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        try:
            request.headers["Authorization"] = f"Bearer {self.read()}"
        except SettingsError as error:
            raise DestinationPaused(error.code, error.sentence) from None
        return request
