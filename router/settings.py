"""The settings: one typed object, read once, that reports every fault at once with its path."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    ValidationError,
    field_validator,
    model_validator,
)

from router.deid.pseudonyms import Key
from router.destinations import AnySettings
from router.errors import Code, SettingsError
from router.routing import Routing

#: In the path of a fault of a destination: destinations, number, kind.
_KIND_AT = 2
DEFAULT_PATH = Path("/etc/edge-router/config.toml")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TruckSettings(_Section):
    id: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}$",
            description="Name of the truck; becomes StationName of every image",
        ),
    ]


class OrthancSettings(_Section):
    url: Annotated[HttpUrl, Field(description="REST API of the truck's Orthanc")]
    user: Annotated[str, Field(description="The router's own user there")] = "router"
    password_file: Annotated[Path, Field(description="File with its password")]
    timeout_s: Annotated[float, Field(gt=0, description="For one answer of Orthanc")] = 120.0


class JournalSettings(_Section):
    path: Annotated[Path, Field(description="The journal; its folder must be writable")] = Path(
        "/var/lib/edge-router/journal.db"
    )
    audit: Annotated[Path, Field(description="Append-only record of what operators decided")] = (
        Path("/var/lib/edge-router/audit.jsonl")
    )
    spool: Annotated[
        Path, Field(description="Private folder for large bodies, cleared at start")
    ] = Path("/var/lib/edge-router/spool")


class DeidSettings(_Section):
    key_files: Annotated[
        list[Path],
        Field(
            min_length=1,
            description="Key files, the current one first; older ones stay for "
            "studies that were begun with them",
        ),
    ]


class AnalysisSettings(_Section):
    enabled: Annotated[bool, Field(description="Make segmentations")] = True
    timeout_s: Annotated[float, Field(gt=0, description="For one image")] = 60.0
    memory_mib: Annotated[
        int, Field(ge=256, description="Address space of the analysis process")
    ] = 2048


class IntakeSettings(_Section):
    poll_s: Annotated[
        float, Field(gt=0, le=60, description="Longest time between two looks at the changes")
    ] = 10.0
    reconcile_s: Annotated[
        float,
        Field(gt=0, description="Time between two comparisons of all images with the journal"),
    ] = 60.0


class CompressionSettings(_Section):
    enabled: Annotated[
        bool, Field(description="Send images in lossless JPEG-LS where that is smaller")
    ] = True


class SendingSettings(_Section):
    start: Annotated[
        Literal["stable", "arrival"],
        Field(
            description="`stable`: a study is sent when the scanner has finished with it; "
            "`arrival`: each image as soon as it is anonymized"
        ),
    ] = "stable"


class SpaceSettings(_Section):
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


class ApiSettings(_Section):
    host: Annotated[str, Field(description="Address of metrics, health and status")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Its port")] = 8080


class Settings(_Section):
    """Everything that can be set. Units are in the names: _s seconds, _mib mebibytes."""

    truck: TruckSettings
    orthanc: OrthancSettings
    journal: JournalSettings = JournalSettings()
    deid: DeidSettings
    analysis: AnalysisSettings = AnalysisSettings()
    intake: IntakeSettings = IntakeSettings()
    api: ApiSettings = ApiSettings()
    compression: CompressionSettings = CompressionSettings()
    sending: SendingSettings = SendingSettings()
    space: SpaceSettings = SpaceSettings()
    routing: Annotated[Routing, Field(description="Where what goes")] = Routing()
    destinations: Annotated[list[AnySettings], Field(min_length=1)]

    @field_validator("destinations")
    @classmethod
    def _names_differ(cls, destinations: list[AnySettings]) -> list[AnySettings]:
        names = [destination.name for destination in destinations]
        if len(set(names)) < len(names):
            message = "two destinations have the same name"
            raise ValueError(message)
        return destinations

    @model_validator(mode="after")
    def _rules_name_destinations(self) -> Settings:
        known = {destination.name for destination in self.destinations}
        if unknown := self.routing.destinations_named() - known:
            message = f"a rule names destinations that there are not: {', '.join(sorted(unknown))}"
            raise ValueError(message)
        return self

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Raises SettingsError (SETTINGS_UNREADABLE, SETTINGS_INVALID), with every fault."""
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise SettingsError(
                Code.SETTINGS_UNREADABLE, f"{path} cannot be read ({error.strerror})."
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(Code.SETTINGS_UNREADABLE, f"{path} is no TOML: {error}.") from None
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            faults = "\n".join(f"  {_path(f['loc'])}: {f['msg']}" for f in error.errors())
            raise SettingsError(Code.SETTINGS_INVALID, f"{path} has faults:\n{faults}") from None

    def keys(self) -> list[Key]:
        """The programme's keys, the current one first. Raises SettingsError (KEY_…).

        A missing key is never replaced by a new one: all its pseudonyms would be lost.
        """
        return [_read_key(path) for path in self.deid.key_files]

    def orthanc_password(self) -> str:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        path = self.orthanc.password_file
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(
                Code.SECRET_UNREADABLE, f"{path} (orthanc.password_file) cannot be read."
            ) from None


def _path(parts: tuple[int | str, ...]) -> str:
    """Where a fault is, as the file has it: pydantic also names the kind that it took."""
    if parts[:1] == ("destinations",) and len(parts) > _KIND_AT:
        parts = (*parts[:_KIND_AT], *parts[_KIND_AT + 1 :])
    return ".".join(map(str, parts))


def _read_key(path: Path) -> Key:
    try:
        text = path.read_text(encoding="ascii")
    except OSError as error:
        raise SettingsError(
            Code.KEY_UNREADABLE,
            f"The key file {path} cannot be read ({error.strerror}). Restore it from its backup: "
            "with a new key no patient would be recognised.",
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(Code.KEY_MALFORMED, f"The key file {path} is not text.") from None
    return Key.parse(text)
