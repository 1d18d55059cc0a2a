"""An archive that takes images both ways: by DICOMweb, and by DICOM TLS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.archive import Archive
from tests.support.certificates import Authority
from tests.support.orthancs import start

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def archive_container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    authority = Authority(folder, "ca")
    certificate = authority.sign("archive", "serverAuth")
    client = authority.sign("client", "clientAuth")
    volumes = {
        str(Path(__file__).parent / "archive.json"): "/etc/edge-orthanc/cloud.json",
        str(authority.file): "/run/secrets/ca.pem",
        str(certificate.file): "/run/secrets/archive.pem",
        str(certificate.key): "/run/secrets/archive-key.pem",
    }
    for orthanc in start("cloud", folder, ["truck", "health"], volumes):
        yield Archive(orthanc, authority, client)


@pytest.fixture
def archive(archive_container: Archive) -> Archive:
    """The archive, empty."""
    archive_container.orthanc.wipe()
    return archive_container
