"""What may be asked of the truck's Orthanc, and by whom. Pure: no Orthanc in here.

The scanner speaks DICOM; over HTTP the router is the only writer. Images leave the truck's disk
only when the router says so and gives a reason, because only the router knows what has arrived in
the cloud.
"""

from __future__ import annotations

import base64
import hmac
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUTER_USER = "router"
HEALTH_USER = "health"

#: All that this user may read: whether Orthanc answers, and its counts and sizes, for vmagent.
_HEALTH_MAY_READ = frozenset({"/system", "/tools/metrics-prometheus"})

#: The router states why it deletes. Orthanc hands header names over in lower case.
DELETE_HEADER = "x-edge-router-delete"

#: On what the plugin itself puts into Orthanc, with a value that nobody else knows.
ORPHAN_HEADER = "x-edge-router-orphan"

#: Of a C-STORE: Refused, Out of Resources (PS3.4, B.2.3).
OUT_OF_RESOURCES = 0xA700
#: Error: Cannot Understand (PS3.4, B.2.3). It is not worth sending it again.
CANNOT_UNDERSTAND = 0xC000

#: What stays on the truck: it is made of identifiers, or of what the scanner sent.
_ROUTERS_OWN = re.compile(r"/edge-router/(received|repeated(/.*)?)/?")

_READING = frozenset({"GET", "HEAD"})

# Calls that are no DELETE and yet remove stored images, or stop what guards them. Modify,
# anonymize, split and merge above the level of an instance take "KeepSource": false in a body
# that a request filter never sees.
_DESTRUCTIVE = re.compile(
    r"/tools/(bulk-delete|bulk-modify|bulk-anonymize|reset|shutdown|execute-script)/?"
    r"|/(patients|studies|series)/[^/]+/(modify|anonymize|split|merge)/?"
)
# Orthanc knows no other methods, and runs of slashes are one to it.
_SLASHES = re.compile(r"/{2,}")


def deletes(method: str, uri: str) -> bool:
    """Whether the request can remove stored images (or stop Orthanc)."""
    if method.upper() in _READING:
        return False
    path = _SLASHES.sub("/", uri.partition("?")[0])
    return method.upper() == "DELETE" or _DESTRUCTIVE.fullmatch(path) is not None


def is_import(method: str, uri: str, headers: Mapping[str, str], token: str) -> bool:
    """Whether the plugin itself takes up an orphan: this call, with the token of this start."""
    return (
        method.upper() == "POST"
        and uri == "/instances"
        and hmac.compare_digest(headers.get(ORPHAN_HEADER, "").encode(), token.encode())
    )


def user_of(headers: Mapping[str, str]) -> str:
    """The name in the request's Basic credentials, or an empty string.

    Orthanc checks the password before it asks a filter, but does not hand the name over.
    """
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def allowed(method: str, uri: str, headers: Mapping[str, str]) -> bool:
    """Whether the truck's Orthanc serves the request; ``False`` is answered with 403.

    ``uri`` is the path as Orthanc passes it; ``headers`` has lower-case names.
    """
    user = user_of(headers)
    if user == HEALTH_USER:
        return method.upper() in _READING and uri in _HEALTH_MAY_READ
    if user != ROUTER_USER:
        if _ROUTERS_OWN.fullmatch(_SLASHES.sub("/", uri.partition("?")[0])):
            return False
        return method.upper() in _READING
    if deletes(method, uri):
        return bool(headers.get(DELETE_HEADER, "").strip())
    return True
