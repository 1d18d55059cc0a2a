"""The copy of an instance that is sent, the original it was made of, and where it goes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from router.records.study import Priority


class Rank(IntEnum):
    """The order inside a study."""

    CAPTURE = 0
    PREVIEW = 1  # one image, to be looked at while the others are on their way
    PRESENTATION = 2
    PROCESSING = 3  # for other machines; nobody reads them


#: SOP classes of images that are meant for machines; the same images come FOR PRESENTATION.
FOR_PROCESSING = (
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography X-Ray
    "1.2.840.10008.5.1.4.1.1.1.3.1",  # Digital Intra-Oral X-Ray
    "1.2.840.10008.5.1.4.1.1.13.1.5",  # Breast Projection X-Ray
)


@dataclass(frozen=True)
class Original:
    """What the scanner sent."""

    rank: Rank
    #: SHA-256 of its data set without group 0002, hexadecimal.
    digest: str
    #: Bytes of the whole file.
    size: int


@dataclass(frozen=True)
class Copy:
    """The anonymized copy of an instance (or a capture), stored in the truck's Orthanc.

    It is what will be sent, byte for byte.
    """

    #: Orthanc's id of the copy: SHA-1 of its pseudonymous identifiers.
    orthanc_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class: str
    modality: str
    transfer_syntax: str
    #: None where the object has none.
    instance_number: int | None
    #: SHA-256 of the data set without group 0002, hexadecimal.
    digest: str
    #: MD5 of the whole file, hexadecimal, as Orthanc reports it.
    md5: str
    #: Bytes of the whole file.
    size: int


@dataclass(frozen=True)
class Route:
    """What the routing rules decided of one instance, by the header that the scanner sent."""

    #: The name of the rule that took it.
    rule: str
    #: Names; ``None``: every destination, also one that is added later.
    destinations: tuple[str, ...] | None
    priority: Priority
    #: The de-identification policy that it goes under.
    policy: str
    #: Names of the analyses that captures are made by; ``None``: every one.
    analyses: tuple[str, ...] | None
