"""DICOM network: C-STORE (PS3.4, annex B), read back by C-FIND at IMAGE level, over DICOM TLS.

An association is kept and used again. It is asked for one presentation context for each SOP class
and transfer syntax, so that the peer's answer is about exactly what will be sent. A peer that takes
fewer associations at a time than we would open is noticed, and then not asked for more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from router.destinations.association_pool import AssociationPool
from router.destinations.base import OneByOne, Outgoing, ReadBack, Stored
from router.destinations.dimse_opening import Peer
from router.destinations.statuses import store_outcome
from router.destinations.tls import LOOPBACK, TlsSettings, make_context
from router.dicom import part10
from router.records.errors import (
    Code,
    DeliveryDeferred,
    DestinationPaused,
    SettingsError,
)
from router.records.receipt import VerifiedBy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from router.destinations.association import Association
    from router.destinations.tls import TlsContext
    from router.records.copies import Copy

#: For each part of a probe: a dead link is to be found out soon.
_PROBE_S = 3.0
#: SOP Instance UIDs in one question.
_ASKED_AT_ONCE = 64
_AET = r"^[\x21-\x5b\x5d-\x7e]([\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?$"


class DimseSettings(TlsSettings):
    """A destination of kind ``dimse``."""

    kind: Literal["dimse"]
    host: Annotated[str, Field(min_length=1, description="Name or address of the archive")]
    port: Annotated[int, Field(ge=1, le=65535, description="Its port")] = 2762
    called_aet: Annotated[str, Field(pattern=_AET, description="AE title of the archive")]
    calling_aet: Annotated[
        str, Field(pattern=_AET, description="AE title that the router calls itself")
    ] = "EDGEROUTER"
    tls: Annotated[bool, Field(description="Speak DICOM TLS (BCP 195 profile, PS3.15 B.12)")] = True

    # DCMTK's archive loses images of associations that store in the same second (tried with its own
    # storescu: 4 files in parallel left 3), and answers "stored".
    most_connections: Annotated[
        int,
        Field(
            ge=1,
            le=4,
            description="Associations that send at once, if more of them carry more; some archives "
            "lose images then",
        ),
    ] = 1

    @model_validator(mode="after")
    def _consistent(self) -> DimseSettings:
        if not self.tls and self.host not in LOOPBACK and not self.insecure:
            message = "tls = false to another machine needs insecure = true"
            raise ValueError(message)
        if not self.tls and (self.ca_file or self.client_certificate_file):
            message = "tls = false uses no certificates"
            raise ValueError(message)
        return self


class Dimse(OneByOne):
    """A destination by DICOM network; see ``router.destinations.Destination`` for the contract.

    Several threads may use it; each has an association of its own while it does.
    """

    def __init__(self, settings: DimseSettings) -> None:
        """Raises SettingsError (SECRET_UNREADABLE)."""
        self.name = settings.name
        self._settings = settings
        if settings.tls:
            settings.check_tls()
        peer = Peer(
            settings.host,
            settings.port,
            settings.called_aet,
            settings.calling_aet,
            settings.connect_timeout_s,
            settings.answer_timeout_s,
        )
        self._associations = AssociationPool(peer, settings.most_connections + 1, self._context)
        #: Whether the peer takes a list of UIDs (PS3.4, C.2.2.2.2); found out.
        self._takes_lists = True

    def close(self) -> None:
        self._associations.close()

    def abort(self) -> None:
        self._associations.abort()

    def probe(self) -> None:
        self._associations.probe(_PROBE_S)

    def send(self, outgoing: Outgoing) -> Stored:
        copy = outgoing.copy
        pair = (copy.sop_class, copy.transfer_syntax)
        data_set = outgoing.view[part10.dataset_offset(outgoing.view) :]
        with self._associations.lent(pair, outgoing.count) as association:
            return store_outcome(*association.store(pair, copy.sop_uid, data_set, outgoing.count))

    def verify(self, copies: Sequence[Copy]) -> ReadBack:
        by_series: dict[str, list[str]] = {}
        for copy in copies:
            by_series.setdefault(copy.series_uid, []).append(copy.sop_uid)
        study_uid = copies[0].study_uid
        verified: dict[str, VerifiedBy] = {}
        try:
            with self._associations.lent() as association:
                for series_uid, sop_uids in by_series.items():
                    found = self._listed(association, study_uid, series_uid, sop_uids)
                    verified |= dict.fromkeys(found, VerifiedBy.PRESENCE)
        except LookupError as status:
            raise DeliveryDeferred(Code.DESTINATION_BUSY, f"C-FIND was answered {status}") from None
        return ReadBack(verified)

    def _listed(
        self, association: Association, study_uid: str, series_uid: str, sop_uids: list[str]
    ) -> set[str]:
        """UIDs that the peer lists: asked for many at once, and what is missing then alone.

        A peer may know no lists, or answer with so many and no more.
        """
        found: set[str] = set()
        if self._takes_lists and len(sop_uids) > 1:
            for start in range(0, len(sop_uids), _ASKED_AT_ONCE):
                asked = sop_uids[start : start + _ASKED_AT_ONCE]
                found |= association.find(study_uid, series_uid, asked)
        by_list = len(found)
        for sop_uid in sop_uids:
            if sop_uid not in found:
                found |= association.find(study_uid, series_uid, [sop_uid])
        if not by_list and len(found) > 1:
            self._takes_lists = False
        return found

    def _context(self) -> TlsContext | None:
        if not self._settings.tls:
            return None
        try:
            return make_context(self._settings)
        except SettingsError as error:
            raise DestinationPaused(error.code, error.sentence) from None
