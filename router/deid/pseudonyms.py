"""Keyed pseudonyms: the same input always gives the same output, and nobody without the key
can find the way back or try out a list of patient numbers.

Every value is ``HMAC-SHA256(key, label | "v1" | value)``. Labels keep the kinds apart, so that a
UID and a name of equal text never share digits. Nothing here depends on the profile's version:
images of the next screening round join the same pseudonymous patient.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from router.deid.issuers import NO_TABLE, Issuers
from router.records.errors import Code, SettingsError

#: UIDs from 128 bits as a decimal number (PS3.5 B.2); the root says nothing of who made them.
UID_ROOT = "2.25."

_KEY_BYTES = 32
#: Characters of a pseudonym. 16 is the longest that fits VR SH (AccessionNumber, StudyID).
_LENGTH = 16
_WEEK = 7  # days
_MOST_WEEKS = 520


@dataclass(frozen=True)
class StudyIssuer:
    """Whose number a study's patient has, for one of its images."""

    #: What the image names; empty: nothing.
    said: str
    #: What enters the pseudonym: that of the whole study.
    used: str


@dataclass(frozen=True)
class Key:
    """A programme's key. One per screening programme, shared by its trucks.

    And under what the pseudonyms of one study are made: they go with the key wherever it goes.
    """

    id: str
    secret: bytes = field(repr=False)
    #: The programme's table of issuers.
    issuers: Issuers = NO_TABLE
    #: ``None``: no image of a study is looked at, each number has the issuer that is named beside it.
    study: StudyIssuer | None = None
    #: How often the study was corrected; enters its UIDs, so that they are new.
    correction: int = 0

    @classmethod
    def parse(cls, text: str) -> Key:
        """A key from ``<id>:<64 hexadecimal digits>``. Raises SettingsError (KEY_MALFORMED)."""
        name, colon, digits = text.strip().partition(":")
        try:
            secret = bytes.fromhex(digits)
        except ValueError:
            secret = b""
        if not (name and colon and len(secret) == _KEY_BYTES):
            raise SettingsError(
                Code.KEY_MALFORMED,
                "The key file must hold one line: <id>:<64 hexadecimal digits>. "
                "scripts/secrets makes one.",
            )
        return cls(name, secret)

    def issuer(self, named: str) -> str:
        """Returns the issuer that enters the pseudonym of a number beside which ``named`` stands.

        The study's own, where ``named`` is empty or the image's; else what the table of issuers says.
        """
        if self.study is not None and named.strip() in {"", self.study.said}:
            return self.study.used
        return self.issuers.in_pseudonym(named)

    def digest(self, label: str, *values: str) -> bytes:
        """32 bytes that stand for the values under the label.

        Each value is preceded by its length, so that ("ab", "c") and ("a", "bc") differ.
        """
        parts = [label.encode(), b"|v1"]
        for value in values:
            encoded = value.encode()
            parts.append(b"|%d|%s" % (len(encoded), encoded))
        return hmac.new(self.secret, b"".join(parts), hashlib.sha256).digest()


def _token(prefix: str, digest: bytes) -> str:
    """A prefix and base-32 digits: upper case and digits only, valid in LO, SH and PN."""
    return prefix + base64.b32encode(digest).decode()[: _LENGTH - len(prefix)]


def patient(key: Key, issuer: str, patient_id: str) -> str:
    """The pseudonym of a patient: (IssuerOfPatientID, PatientID), as ``Key.issuer`` has it; stripped."""
    return _token("P", key.digest("patient", key.issuer(issuer), patient_id.strip()))


def accession(key: Key, number: str) -> str:
    """The pseudonym of an accession number, so that a report can be matched to its order."""
    return _token("A", key.digest("accession", number.strip()))


def study_id(key: Key, value: str) -> str:
    """The pseudonym of a Study ID."""
    return _token("S", key.digest("study-id", value.strip()))


def uid(key: Key, original: str) -> str:
    """The UID that stands for another: at most 44 characters, always the same one.

    Of a corrected study it is another one than before: an archive that was told to reject a UID
    takes no object under it again (IHE RAD TF-3, 4.66.4.2).
    """
    corrected = (str(key.correction),) if key.correction else ()
    return UID_ROOT + str(int.from_bytes(key.digest("uid", original, *corrected)[:16], "big"))


def shift_days(key: Key, issuer: str, patient_id: str) -> int:
    """By how many days the dates of a patient are moved: back, by 1 to 520 whole weeks."""
    digest = key.digest("date-shift", key.issuer(issuer), patient_id.strip())
    return -_WEEK * (1 + int.from_bytes(digest[:8], "big") % _MOST_WEEKS)


def alias(key: Key, orthanc_id: str) -> str:
    """Twelve hexadecimal digits that stand for a study in logs and metrics."""
    return key.digest("alias", orthanc_id).hex()[:12]
