"""The entrance's settings, from its environment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


#: Where nginx reaches the entrance: a folder that the two share. Over the engine's network each byte
#: that a truck stores would cost as much again as all that is done with it here.
SOCKET = Path("/run/entrance/http.sock")


class SettingsError(ValueError):
    """A setting is missing or cannot be read; the message says which, and no secret."""


@dataclass(frozen=True)
class Provider:
    """An OpenID provider that readers may sign in with."""

    issuer: str
    client_id: str
    client_secret: str
    #: Which claim of its ID token is the reader's name here.
    claim: str = "preferred_username"
    #: The authority that signed its certificate; empty: the public ones.
    ca_file: str = ""


@dataclass(frozen=True)
class Settings:
    """All of them."""

    #: How nginx reaches the entrance.
    own_url: str
    archive_url: str
    prometheus_url: str
    accounts: Path
    state: Path
    #: The archive's accounts: user → password. ``reader``, ``store`` and ``entrance``.
    archive_users: Mapping[str, str]
    #: Whether a truck must show a certificate with its own name, too.
    certificates: bool = False
    #: The truck whose studies those are that are in the archive and nobody's: stored before it had
    #: an entrance. Empty: nobody's.
    adopting: str = ""
    provider: Provider | None = None


def load(environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError."""
    passwords = {
        user: _secret(environment.get(f"ARCHIVE_{user.upper()}_PASSWORD_FILE",
                                      f"/run/secrets/archive_{user}_password"))
        for user in ("reader", "store", "entrance")
    }  # fmt: skip
    return Settings(
        own_url=f"http://unix:{SOCKET}:",
        archive_url=environment.get("ARCHIVE_URL", "http://cloud-orthanc:8042"),
        prometheus_url=environment.get("PROMETHEUS_URL", "http://prometheus:9090"),
        accounts=Path(environment.get("ACCOUNTS_DIR", "/etc/entrance/accounts")),
        state=Path(environment.get("STATE_FILE", "/var/lib/entrance/entrance.db")),
        archive_users=passwords,
        certificates=_choice(environment, "TRUCK_CERTIFICATES", "required", "optional"),
        adopting=environment.get("ADOPTING_TRUCK", ""),
        provider=_provider(environment),
    )


def _provider(environment: Mapping[str, str]) -> Provider | None:
    issuer = environment.get("OIDC_ISSUER", "").rstrip("/")
    if not issuer:
        return None
    if not issuer.startswith("https://"):
        raise SettingsError("OIDC_ISSUER must be an address of https")
    if not environment.get("OIDC_CLIENT_ID"):
        raise SettingsError("OIDC_ISSUER needs OIDC_CLIENT_ID")
    return Provider(
        issuer,
        environment["OIDC_CLIENT_ID"],
        _secret(environment.get("OIDC_CLIENT_SECRET_FILE", "/run/secrets/oidc_client_secret")),
        environment.get("OIDC_CLAIM", "preferred_username"),
        environment.get("OIDC_CA_FILE", ""),
    )


def _choice(environment: Mapping[str, str], name: str, yes: str, no: str) -> bool:
    value = environment.get(name, no)
    if value not in {yes, no}:
        raise SettingsError(f"{name} is {yes} or {no}")
    return value == yes


def _secret(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        raise SettingsError(f"SECRET_UNREADABLE: {path}. Run scripts/secrets.") from None
