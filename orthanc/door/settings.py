"""What the door is told, from its environment. Units are in the names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class SettingsFault(Exception):
    """The text says which variable, and what is wrong with it."""


@dataclass(frozen=True)
class Limits:
    """How many callers there may be, and how long they may be silent."""

    #: From the connection to the last byte of its A-ASSOCIATE-RQ (and of its TLS handshake).
    request_s: float = 3.0
    #: Connections that have not sent it: of all addresses, and of one. The oldest goes for a new one.
    most_waiting: int = 2048
    most_waiting_each: int = 1024
    #: Bytes of requests that are not whole.
    most_waiting_bytes: int = 8 * 1024 * 1024
    #: Associations at Orthanc, of all addresses and of one.
    most: int = 48
    most_each: int = 24
    #: An association that is at rest so long makes room for a new one where there is none.
    yields_s: float = 10.0
    #: Between two messages of a caller. Orthanc's DicomScpTimeout ends it earlier.
    idle_s: float = 90.0
    #: For an answer of Orthanc: it may have to write a tomosynthesis to a slow disk.
    answer_s: float = 300.0
    #: A message that was begun brings so many bytes in each such time.
    progress_s: float = 30.0
    progress_bytes: int = 16 * 1024
    connect_s: float = 5.0
    #: So often its figures are written: twice between two looks of the metrics agent.
    figures_s: float = 15.0


@dataclass(frozen=True)
class Tls:
    """Files of the port that speaks TLS."""

    port: int
    certificate: Path
    key: Path
    #: Whose client certificates are accepted.
    authorities: Path


@dataclass(frozen=True)
class Settings:
    """Everything that can be set."""

    host: str
    port: int
    figures_host: str
    figures_port: int
    orthanc_host: str
    orthanc_port: int
    ae_title: str
    modalities: Path
    check_host: bool
    callers: Path | None
    tls: Tls | None
    limits: Limits
    #: Where its figures are written for the machine's exporter; None: nowhere.
    figures_file: Path | None = None

    @classmethod
    def load(cls, environment: Mapping[str, str]) -> Settings:
        """The settings of an environment. Raises SettingsFault."""

        def number(name: str, default: int) -> int:
            try:
                return int(environment.get(name) or default)
            except ValueError:
                raise SettingsFault(f"{name} must be a number") from None

        tls = None
        if environment.get("DOOR_TLS_CERTIFICATE"):
            files = [
                Path(environment.get(f"DOOR_TLS_{name}", ""))
                for name in ("CERTIFICATE", "KEY", "CLIENT_CA")
            ]
            for file in files:
                if not file.is_file():
                    raise SettingsFault(
                        f"DOOR_TLS_CERTIFICATE, _KEY and _CLIENT_CA: no file {file}"
                    )
            tls = Tls(number("DOOR_TLS_PORT", 2762), *files)
        state = environment.get("DOOR_CALLERS", "")
        shown = environment.get("DOOR_FIGURES_FILE", "")
        standard = Limits()
        return cls(
            environment.get("DOOR_HOST", ""),
            number("DOOR_PORT", 4242),
            environment.get("DOOR_FIGURES_HOST") or "127.0.0.1",
            number("DOOR_FIGURES_PORT", 9104),
            environment.get("DOOR_ORTHANC_HOST", "truck-orthanc"),
            number("DOOR_ORTHANC_PORT", 4242),
            environment.get("TRUCK_AET") or "EDGETRUCK",
            Path(environment.get("DOOR_MODALITIES", "/etc/edge-door/modalities.json")),
            environment.get("TRUCK_CHECK_MODALITY_HOST", "").lower() == "true",
            Path(state) if state else None,
            tls,
            Limits(
                most=number("DOOR_MOST_ASSOCIATIONS", standard.most),
                most_each=number("DOOR_MOST_PER_ADDRESS", standard.most_each),
            ),
            Path(shown) if shown else None,
        )
