"""The settings: one typed object, read once, that reports every fault at once with its path."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    ValidationError,
    field_validator,
    model_validator,
)

from router.config.rule_settings import FallbackSettings, RuleSettings, check_together
from router.deid import issuers, policies
from router.deid.issuers import NO_TABLE, Issuers
from router.deid.profile import SCREENING, Option, Profile
from router.deid.pseudonyms import Key
from router.deid.standard import safe_private, vocabulary
from router.destinations import AnySettings
from router.imaging.quality import EXPECTED_VIEWS
from router.records.errors import Code, SettingsError
from router.rules.routing import Routing

if TYPE_CHECKING:
    from router.deid.policies import Policy

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


class AnalysisSettings(_Section):
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


class QualitySettings(_Section):
    expected_views: Annotated[
        list[Annotated[str, Field(pattern=r"^[LR]-[A-Z]{2,4}$")]],
        Field(description="Views that a screening mammography should have; empty: none"),
    ] = list(EXPECTED_VIEWS)


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
        bool,
        Field(
            description="Send images in lossless JPEG-LS where that is smaller, "
            "unless every destination has proven faster (8 MB/s on a connection)"
        ),
    ] = True
    always: Annotated[
        bool, Field(description="Also while the link is fast: the same bytes whatever the link")
    ] = False


class SendingSettings(_Section):
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


class DoorSettings(_Section):
    callers_file: Annotated[
        Path, Field(description="Where the scanner's door writes down who called; need not exist")
    ] = Path("/var/lib/edge-door/callers.json")


class Settings(_Section):
    """Everything that can be set. Units are in the names: _s seconds, _mib mebibytes."""

    truck: TruckSettings
    orthanc: OrthancSettings
    journal: JournalSettings = JournalSettings()
    deid: DeidSettings
    analysis: AnalysisSettings = AnalysisSettings()
    quality: QualitySettings = QualitySettings()
    intake: IntakeSettings = IntakeSettings()
    api: ApiSettings = ApiSettings()
    door: DoorSettings = DoorSettings()
    compression: CompressionSettings = CompressionSettings()
    sending: SendingSettings = SendingSettings()
    space: SpaceSettings = SpaceSettings()
    destinations: Annotated[list[AnySettings], Field(min_length=1)]
    rules: list[RuleSettings] = []
    fallback: FallbackSettings = FallbackSettings()

    @field_validator("destinations")
    @classmethod
    def _names_differ(cls, destinations: list[AnySettings]) -> list[AnySettings]:
        names = [destination.name for destination in destinations]
        if len(set(names)) < len(names):
            message = "two destinations have the same name"
            raise ValueError(message)
        return destinations

    @model_validator(mode="after")
    def _rules_fit_together(self) -> Settings:
        check_together(self.rules, self.fallback, self.destination_names)
        return self

    @property
    def destination_names(self) -> list[str]:
        return [destination.name for destination in self.destinations]

    @property
    def routing(self) -> Routing:
        """The rules, as the steps ask them."""
        rules = tuple(rule.rule() for rule in self.rules)
        return Routing(rules, self.fallback.rule(), tuple(self.destination_names))

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
        """The programme's keys, the current one first. Raises SettingsError (KEY_…, SETTINGS_…).

        A missing key is never replaced by a new one: all its pseudonyms would be lost.
        """
        table = self.issuers()
        return [replace(_read_key(path), issuers=table) for path in self.deid.key_files]

    def issuers(self) -> Issuers:
        """Who gives patient numbers; empty: there is no table. Raises SettingsError (SETTINGS_…)."""
        path = self.deid.issuers_file
        return issuers.read(_read_text(path), path.name) if path else NO_TABLE

    def profile(self) -> Profile:
        """What new studies are de-identified with. Raises SettingsError (SETTINGS_…)."""
        private = self.deid.safe_private_file
        more = safe_private.read(_read_text(private), private.name) if private else frozenset()
        return Profile.of(frozenset(self.deid.options), self.own_words(), more)

    def own_words(self) -> frozenset[str]:
        """The site's own words. Raises SettingsError (SETTINGS_UNREADABLE)."""
        path = self.deid.words_file
        return vocabulary.read(_read_text(path)) if path else frozenset()

    def policies(self) -> tuple[Policy, ...]:
        """The site's own policies before the shipped ones. Raises SettingsError (SETTINGS_…)."""
        path = self.deid.policies_file
        own = policies.read(_read_text(path), path.name) if path else ()
        return (*own, *policies.SHIPPED)

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


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            Code.SETTINGS_UNREADABLE, f"{path} cannot be read ({type(error).__name__})."
        ) from None


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
