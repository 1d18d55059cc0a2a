"""The settings: one typed object, read once, that reports every fault at once with its path."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import (
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from router.config.rule_settings import FallbackSettings, RuleSettings, check_together
from router.config.sections import (
    AnalysisSettings,
    ApiSettings,
    CompressionSettings,
    DeidSettings,
    DoorSettings,
    IntakeSettings,
    JournalSettings,
    OrthancSettings,
    QualitySettings,
    Section,
    SendingSettings,
    SpaceSettings,
    TruckSettings,
)
from router.deid import issuers, policies
from router.deid.issuers import NO_TABLE, Issuers
from router.deid.profile import Profile
from router.deid.pseudonyms import Key
from router.deid.standard import safe_private, vocabulary
from router.destinations import AnySettings
from router.records.errors import Code, SettingsError
from router.rules.routing import Routing

if TYPE_CHECKING:
    from router.deid.policies import Policy

#: In the path of a fault of a destination: destinations, number, kind.
_KIND_AT = 2
DEFAULT_PATH = Path("/etc/edge-router/config.toml")


class Settings(Section):
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
    rules: list[RuleSettings] = Field(default_factory=list)
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
        """The names of the destinations, in the order of the file."""
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
