"""The sections of the settings file: what each setting is called, may be, and means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from router.deid.profile import SCREENING
from router.deid.standard.options import Option
from router.imaging.quality import EXPECTED_VIEWS


class Section(BaseModel):
    """A section of the settings file: unknown keys are faults, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TruckSettings(Section):
    """The truck itself."""

    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$",
            description="Name of the truck; becomes StationName of every image",
        ),
    ]


class OrthancSettings(Section):
    """The truck's Orthanc."""

    url: Annotated[HttpUrl, Field(description="REST API of the truck's Orthanc")]
    user: Annotated[str, Field(description="The router's own user there")] = "router"
    password_file: Annotated[Path, Field(description="File with its password")]
    timeout_s: Annotated[float, Field(gt=0, description="For one answer of Orthanc")] = 120.0


class JournalSettings(Section):
    """Where the router keeps what must survive."""

    path: Annotated[Path, Field(description="The journal; its folder must be writable")] = Path(
        "/var/lib/edge-router/journal.db"
    )
    audit: Annotated[Path, Field(description="Append-only record of what operators decided")] = (
        Path("/var/lib/edge-router/audit.jsonl")
    )
    spool: Annotated[
        Path, Field(description="Private folder for large bodies, cleared at start")
    ] = Path("/var/lib/edge-router/spool")


class DeidSettings(Section):
    """Keys, options and lists of de-identification."""

    key_files: Annotated[
        list[Path],
        Field(
            min_length=1,
            description="Key files, the current one first; older ones stay for "
            "studies and patients that are known under them",
        ),
    ]
    issuers_file: Annotated[
        Path | None,
        Field(
            description="The programme's table of who gives patient numbers, the same on each truck"
        ),
    ] = None
    options: Annotated[
        list[Option],
        Field(
            description="Options of PS3.15 Annex E, by their codes in CID 7050; studies that were "
            "begun keep theirs",
        ),
    ] = sorted(SCREENING)
    words_file: Annotated[
        Path | None, Field(description="More words that free text may consist of")
    ] = None
    safe_private_file: Annotated[
        Path | None, Field(description="More private attributes that stay under 113111")
    ] = None
    policies_file: Annotated[
        Path | None, Field(description="Policies that come before the shipped ones")
    ] = None


class AnalysisSettings(Section):
    """The look at each image, and the segmentations."""

    enabled: Annotated[
        bool, Field(description="Look at each image as it arrives, and make segmentations")
    ] = True
    timeout_s: Annotated[float, Field(gt=0, description="For one image")] = 60.0
    memory_mib: Annotated[
        int, Field(ge=256, description="Address space of the analysis process")
    ] = 2048
    golden: Annotated[
        Path | None,
        Field(
            description="Folder of images that are analysed again every week: their results must "
            "not move. Writable, for the results"
        ),
    ] = None


class QualitySettings(Section):
    """What an examination should consist of."""

    expected_views: Annotated[
        list[Annotated[str, Field(pattern=r"^[LR]-[A-Z]{2,4}$")]],
        Field(description="Views that a screening mammography should have; empty: none"),
    ] = list(EXPECTED_VIEWS)


class IntakeSettings(Section):
    """How often the truck's Orthanc is asked what is new."""

    poll_s: Annotated[
        float, Field(gt=0, le=60, description="Longest time between two looks at the changes")
    ] = 10.0
    reconcile_s: Annotated[
        float,
        Field(gt=0, description="Time between two comparisons of all images with the journal"),
    ] = 60.0


class CompressionSettings(Section):
    """When copies are compressed without loss."""

    enabled: Annotated[
        bool,
        Field(
            description="Send images in lossless JPEG-LS where that is smaller, "
            "unless every destination has proven faster (8 MB/s on a connection)"
        ),
    ] = True
    always: Annotated[
        bool, Field(description="Also while the link is fast: the same bytes whatever the link")
    ] = False


class SendingSettings(Section):
    """When a study begins to be sent, and what is not."""

    start: Annotated[
        Literal["stable", "arrival"],
        Field(
            description="`stable`: a study is sent when the scanner has finished with it; "
            "`arrival`: each image as soon as it is anonymized"
        ),
    ] = "stable"
    unopenable: Annotated[
        Literal["hold", "deliver"],
        Field(
            description="An image whose pixels break off or cannot be decoded: `hold` it until a "
            "person decides, or `deliver` it as it is"
        ),
    ] = "hold"


class SpaceSettings(Section):
    """How full the truck may get, and what happens then."""

    capacity_mib: Annotated[
        int,
        Field(ge=0, description="What Orthanc may take; 0: what it or its disk says"),
    ] = 0
    high_percent: Annotated[
        float, Field(gt=0, le=100, description="Above this, what is verified everywhere is removed")
    ] = 80.0
    low_percent: Annotated[
        float, Field(ge=0, le=100, description="Until this is reached, the oldest first")
    ] = 70.0
    refuse_percent: Annotated[
        float,
        Field(
            gt=0, le=100,
            description="Above this, and with nothing left to remove, the truck takes no images: "
            "the copies of those that it has need the rest",
        ),
    ] = 90.0  # fmt: skip
    look_s: Annotated[float, Field(gt=0, description="Time between two looks")] = 30.0

    @model_validator(mode="after")
    def _in_order(self) -> SpaceSettings:
        if not self.low_percent <= self.high_percent <= self.refuse_percent:
            message = "low_percent, high_percent and refuse_percent must rise"
            raise ValueError(message)
        return self


class ApiSettings(Section):
    """Where metrics, health and status are served."""

    host: Annotated[str, Field(description="Address of metrics, health and status")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Its port")] = 8080


class DoorSettings(Section):
    """What the scanner's door tells the router."""

    callers_file: Annotated[
        Path, Field(description="Where the scanner's door writes down who called; need not exist")
    ] = Path("/var/lib/edge-door/callers.json")
