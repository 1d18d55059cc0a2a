"""What may be asked of the cloud's Orthanc, and by which of its accounts. Pure: no Orthanc in here.

The second guard behind the entrance, and made without it: each alone keeps a reader from deleting
the archive. What does not stand here is refused, whoever asks.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_UID = r"[0-9.]{1,64}"
_STUDY = rf"/dicom-web/studies/{_UID}"
_SERIES = rf"{_STUDY}/series/{_UID}"
_INSTANCE = rf"{_SERIES}/instances/{_UID}"
_LIST = r"[0-9]{1,6}(,[0-9]{1,6})*"
_BULK = r"[0-9A-Fa-f]{8}(/[0-9]{1,6}/[0-9A-Fa-f]{8})*"

_DICOMWEB = re.compile(
    rf"/dicom-web/(studies|series|instances)"
    rf"|{_STUDY}(/(series|instances|metadata|rendered))?"
    rf"|{_SERIES}(/(instances|metadata|rendered))?"
    rf"|{_INSTANCE}(/(metadata|rendered|frames/{_LIST}(/rendered)?|bulk/{_BULK}))?"
)
_STORING = re.compile(rf"/dicom-web/studies(/{_UID})?")
_HEALTH = re.compile(r"/system|/tools/metrics-prometheus")
#: The auditor of the demo and the tests looks at every file.
_FILES = re.compile(r"/system|/instances(/[0-9a-f-]{44}/file)?")
#: Read-only, though it is posted.
_FINDING = re.compile(r"/tools/find")

#: Account → method → paths. Orthanc hands over the path that it will look up itself: decoded, with
#: its dots resolved, and the method after `X-HTTP-Method-Override` and `_method` (measured, 1.13).
MAY = {
    "reader": {"GET": _DICOMWEB},
    "store": {"GET": _DICOMWEB, "POST": _STORING},
    "entrance": {"POST": _FINDING},
    "auditor": {"GET": _FILES},
    "health": {"GET": _HEALTH},
}


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
    """Whether the cloud's Orthanc serves the request; ``False`` is answered with 403."""
    paths = MAY.get(user_of(headers), {}).get(method)
    return paths is not None and paths.fullmatch(uri) is not None
