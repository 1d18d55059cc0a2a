"""Checks a run against the cloud PACS itself: is every image there once, and nobody named?

Independent of the router's own de-identification code: it computes the expected UIDs from the
programme's key as docs describe them, and searches the bytes that the cloud hands out.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
import requests
from pydicom import config
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset

    from tests.support.data import Patient, Source

config.settings.reading_validation_mode = config.IGNORE

_LONG = 6
_PIXELS = 0x7FE00010
_DECODED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLSLossless)
_CAPTURES = "1.2.840.10008.5.1.4.1.1.7"


class Cloud:
    """The cloud's Orthanc, asked past the entrance that the router uses."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.auth = (user, password)

    def instances(self) -> set[str]:
        return set(self._get("/instances").json())

    def file(self, instance: str) -> bytes:
        return self._get(f"/instances/{instance}/file").content

    def _get(self, path: str) -> requests.Response:
        response = self._session.get(f"{self._url}{path}", timeout=60)
        response.raise_for_status()
        return response


@dataclass(frozen=True)
class Audit:
    """What was found. All but ``captures`` should be as the promise says."""

    lost: int
    duplicates: int
    identifiers: int
    captures: int
    #: SOP Instance UIDs (pseudonymous) of the images that arrived.
    arrived: frozenset[str]


def pseudonymous_uid(key: bytes, original: str) -> str:
    """``2.25.`` and the first 128 bits of the keyed digest as a number."""
    return f"2.25.{int.from_bytes(_keyed(key, 'uid', original)[:16], 'big')}"


def study_alias(key: bytes, patient_id: str, study_uid: str) -> str:
    """What the router's status calls a study: the first 12 digits for Orthanc's id of it."""
    digits = hashlib.sha1(f"{patient_id}|{study_uid}".encode(), usedforsecurity=False).hexdigest()
    orthanc_id = "-".join(digits[i : i + 8] for i in range(0, 40, 8))
    return _keyed(key, "alias", orthanc_id).hex()[:12]


def _keyed(key: bytes, label: str, value: str) -> bytes:
    """HMAC-SHA256(key, "label|v1|<length>|<value>")."""
    return hmac.new(key, f"{label}|v1|{len(value)}|{value}".encode(), hashlib.sha256).digest()


def audit(
    cloud: Cloud, sources: Sequence[Source], key: bytes, before: set[str],
    held: Mapping[str, int],
) -> Audit:  # fmt: skip
    """``before``: instances that the cloud held already. ``held``: study UID → instances held."""
    expected = {pseudonymous_uid(key, source.sop_uid): source for source in sources}
    patients = {source.patient.patient_id: source.patient for source in sources}.values()
    seen: Counter[str] = Counter()
    contents: Counter[str] = Counter()
    captures = identifiers = 0
    for instance in sorted(cloud.instances() - before):
        data = cloud.file(instance)
        dataset = pydicom.dcmread(io.BytesIO(data))
        if names_anyone(dataset, data, patients):
            identifiers += 1
        if dataset.SOPClassUID == _CAPTURES:
            captures += 1
            continue
        seen[str(dataset.SOPInstanceUID)] += 1
        if shown := content_of(dataset):
            contents[shown] += 1
    arrived = frozenset(seen) & frozenset(expected)
    per_study = Counter(source.study_uid for source in sources)
    there = Counter(expected[uid].study_uid for uid in arrived)
    lost = sum(
        max(0, number - there[study] - held.get(study, 0)) for study, number in per_study.items()
    )
    # Twice the same content under whatever UID, and images nobody sent, are doubles too.
    sent_contents = Counter(content_of(pydicom.dcmread(source.path)) for source in sources)
    twice = sum(max(0, number - sent_contents[c]) for c, number in contents.items())
    return Audit(lost, max(twice, len(seen) - len(arrived)), identifiers, captures, arrived)


def names_anyone(dataset: Dataset, data: bytes, patients: Iterable[Patient]) -> bool:
    """Whether a file holds a value that identifies one of the patients; pixels are left out.

    Values of six bytes and more are searched as bytes, shorter ones as decoded elements. A keyed
    UID is random digits, among which every eight stand sooner or later: dates and numbers are not
    searched in it.
    """
    outside = _outside_pixels(dataset, data)
    without_keyed = _KEYED_UID.sub(b"", outside)
    elements = {text for element in _elements(dataset) for text in _texts(element)}
    for patient in patients:
        for value in patient.identifiers():
            encoded = value.encode()
            there = without_keyed if value.isdigit() else outside
            if encoded in there if len(encoded) >= _LONG else value in elements:
                return True
    return False


def content_of(dataset: Dataset) -> str | None:
    """A digest of what an image shows; ``None`` for what shows nothing (a report).

    The truck may compress plain pixels with JPEG-LS: such frames are compared decoded.
    """
    if "PixelData" not in dataset:
        return None
    if dataset.file_meta.TransferSyntaxUID in _DECODED:
        return hashlib.sha256(pixel_array(dataset, raw=True).tobytes()).hexdigest()
    return hashlib.sha256(dataset.PixelData).hexdigest()


#: As the truck makes them: 2.25 and 128 bits (PS3.5, B.2).
_KEYED_UID = re.compile(rb"(?<![0-9.])2\.25\.[0-9]{30,39}(?![0-9.])")


def _outside_pixels(dataset: Dataset, data: bytes) -> bytes:
    pixels = dataset.get("PixelData")
    if pixels is None:
        return data
    start = data.find(pixels[:4096]) if len(pixels) > _LONG else -1
    return data if start < 0 else data[:start] + data[start + len(pixels) :]


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    for element in dataset.iterall():
        if element.tag != _PIXELS:
            yield element


def _texts(element: DataElement) -> list[str]:
    value = element.value
    values = value if isinstance(value, list) else [value]
    return [str(v) for v in values if isinstance(v, str)]
