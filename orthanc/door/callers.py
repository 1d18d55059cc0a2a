"""Who may call, by AE title and address; and the list of who did."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from door.pdus import CALLED_AE_NOT_RECOGNIZED, CALLING_AE_NOT_RECOGNIZED, Rejection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

#: What an attacker can make us remember.
MOST_CALLERS = 200

_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class Unusable(Exception):
    """The list of modalities cannot be used; the text says why."""


@dataclass(frozen=True)
class Modality:
    """A device that may store: its AE title in capitals, and its address or host name."""

    ae_title: str
    host: str


def modalities(text: str, environment: Mapping[str, str]) -> list[Modality]:
    """The devices of Orthanc's ``DicomModalities``, in both of Orthanc's notations.

    Comments are left out and ``${NAME:-default}`` is filled in, as Orthanc does it. A device that
    may not store is not one of them. Raises Unusable.
    """
    text = _STRING_OR_COMMENT.sub(lambda m: m[0] if m[0].startswith('"') else " ", text)
    text = _VARIABLE.sub(lambda m: environment.get(m[1], m[2] or ""), text)
    try:
        listed = json.loads(text)["DicomModalities"]
        return [modality for one in listed.values() if (modality := _modality(one)) is not None]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise Unusable(f"DicomModalities cannot be read ({type(error).__name__})") from None


def _modality(said: Any) -> Modality | None:  # noqa: ANN401  (JSON)
    if isinstance(said, list):
        return Modality(str(said[0]).strip().upper(), str(said[1]))
    if not said.get("AllowStore", True):
        return None
    return Modality(str(said["AET"]).strip().upper(), str(said["Host"]))


def addresses(host: str) -> frozenset[str]:
    """The addresses of a host name or address; none where the name is not known (now)."""
    try:
        return frozenset({str(ipaddress.ip_address(host))})
    except ValueError:
        pass
    try:
        return frozenset(
            plain(str(found[4][0]))
            for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        )
    except OSError:
        return frozenset()


def plain(address: str) -> str:
    """An address in one spelling: IPv4 in IPv6 is IPv4, and a zone is left out."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


class Register:
    """Decides by AE titles, which are compared without case as Orthanc does it, and by addresses."""

    def __init__(
        self, called: str, listed: Iterable[Modality], *, check_host: bool,
        resolve: Callable[[str], frozenset[str]] = addresses,
    ) -> None:  # fmt: skip
        """``called``: the truck's own AE title."""
        self._called = called.strip().upper()
        self._check_host = check_host
        self._listed = list(listed)
        self._resolve = resolve
        self._known: dict[str, frozenset[str]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Looks host names up again. Blocks as long as the look-up does."""
        known: dict[str, frozenset[str]] = {}
        for one in self._listed:
            found = self._resolve(one.host) if self._check_host else frozenset()
            known[one.ae_title] = known.get(one.ae_title, frozenset()) | found
        self._known = known

    def decide(self, called: str, calling: str, address: str) -> Rejection | None:
        """Why this caller is not let in; None: it is."""
        if called.upper() != self._called:
            return CALLED_AE_NOT_RECOGNIZED
        known = self._known.get(calling.upper()) if calling else None
        if known is None or (self._check_host and address not in known):
            return CALLING_AE_NOT_RECOGNIZED
        return None


@dataclass
class Caller:
    """An AE title at an address, and what became of its calls. Times are seconds of Unix time."""

    calling: str
    called: str
    address: str
    first_at: float
    last_at: float
    accepted: int = 0
    refused: int = 0
    reason: str = ""  #: why the last call was refused; empty: it was accepted


class Callers:
    """The list of callers, bounded, in a file that the router reads."""

    def __init__(self, path: Path | None) -> None:
        """``path``: None keeps no file. One that cannot be read is begun again."""
        self._path = path
        self._callers: dict[tuple[str, str], Caller] = {}
        self._changed = False
        if path is not None and path.exists():
            try:
                for one in json.loads(path.read_text(encoding="ascii"))["callers"][:MOST_CALLERS]:
                    caller = Caller(**one)
                    self._callers[caller.calling, caller.address] = caller
            except (OSError, ValueError, KeyError, TypeError):
                self._callers.clear()

    def note(self, calling: str, called: str, address: str, reason: str, now: float) -> bool:
        """Counts a call; an empty ``reason``: it was accepted. Whether this caller is new."""
        caller = self._callers.pop((calling, address), None)
        new = caller is None
        if caller is None:
            self._make_room()
            caller = Caller(calling, called, address, now, now)
        self._callers[calling, address] = caller
        caller.called, caller.last_at, caller.reason = called, now, reason
        if reason:
            caller.refused += 1
        else:
            caller.accepted += 1
        self._changed = True
        return new

    def _make_room(self) -> None:
        """Forgets who called longest ago; of those that were never let in before the others."""
        if len(self._callers) < MOST_CALLERS:
            return
        never = (key for key, one in self._callers.items() if not one.accepted)
        del self._callers[next(never, next(iter(self._callers)))]

    def unknown(self) -> int:
        """How many callers were never let in."""
        return sum(not one.accepted for one in self._callers.values())

    def save(self) -> None:
        """Writes the file anew where something changed. Raises OSError."""
        if not self._changed or self._path is None:
            return
        said = {"format": 1, "callers": [asdict(one) for one in self._callers.values()]}
        fresh = self._path.with_suffix(".fresh")
        fresh.write_text(json.dumps(said), encoding="ascii")
        fresh.chmod(0o644)
        fresh.replace(self._path)
        self._changed = False
