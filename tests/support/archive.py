"""An archive that takes images both ways: by DICOMweb, and by DICOM TLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.certificates import Authority, Certificate
    from tests.support.orthancs import Orthanc

ARCHIVE_AET = "ARCHIVE"


@dataclass(frozen=True)
class Archive:
    """A real Orthanc, and what it lets a client in with."""

    orthanc: Orthanc
    authority: Authority
    client: Certificate
