"""Every error of the router, and every code that a person may meet.

EdgeRouterError
├── SettingsError          a fault in the settings, a key or a secret: the router does not start
├── JournalError           the journal cannot be used
├── OrthancError           the truck's Orthanc did not do as asked
│   ├── OrthancUnreachable     nobody answered: try again, costs no attempts
│   │   └── OrthancBrokeOff        it went away in the middle of an answer
│   ├── OrthancDenied          it does not let us in: try again, and say so
│   ├── OrthancFull            the truck's disk is full: try again, and say so
│   └── ResourceMissing        it does not hold what was asked for
├── DeliveryError          a destination did not take an instance
│   ├── LinkDown               nobody answered: trip the circuit breaker, costs no attempts
│   ├── DestinationPaused      it takes nothing from us now: open the breaker, and say so
│   │   └── StoreRefused           it answered an image so, and would answer every other so
│   ├── SyntaxRefused          it does not take this transfer syntax: send it another one
│   └── DeliveryDeferred       not now: the instance's own retry
├── OperatorError          a command asks for what cannot be done
├── Hold                   this instance must not go on: a person decides (records.holds)
├── AnalysisSkipped        no capture for this image; the image itself goes on
└── IllegalTransition      a fault in the router: not in the state table
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """One name for one fact, in errors, holds, metrics, logs and documents."""

    # Settings, secrets, journal
    SETTINGS_UNREADABLE = "SETTINGS_UNREADABLE"
    SETTINGS_INVALID = "SETTINGS_INVALID"
    SECRET_UNREADABLE = "SECRET_UNREADABLE"  # noqa: S105  (a code, not a secret)
    KEY_UNREADABLE = "KEY_UNREADABLE"
    KEY_MALFORMED = "KEY_MALFORMED"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    KEY_EXCHANGED = "KEY_EXCHANGED"
    ISSUERS_CHANGED = "ISSUERS_CHANGED"
    NO_ISSUERS = "NO_ISSUERS"
    HOST_OPEN = "HOST_OPEN"
    JOURNAL_UNUSABLE = "JOURNAL_UNUSABLE"
    JOURNAL_READ_ONLY = "JOURNAL_READ_ONLY"
    JOURNAL_NEWER = "JOURNAL_NEWER"
    JOURNAL_LOCKED = "JOURNAL_LOCKED"
    SPOOL_UNUSABLE = "SPOOL_UNUSABLE"
    # The truck's Orthanc
    ORTHANC_UNREACHABLE = "ORTHANC_UNREACHABLE"
    ORTHANC_DENIED = "ORTHANC_DENIED"
    ORTHANC_REFUSED = "ORTHANC_REFUSED"
    RESOURCE_MISSING = "RESOURCE_MISSING"
    TRUCK_FULL = "TRUCK_FULL"
    # Holds at intake and anonymization
    UNREADABLE = "UNREADABLE"
    NESTING_TOO_DEEP = "NESTING_TOO_DEEP"
    HEADER_TOO_LARGE = "HEADER_TOO_LARGE"
    NO_PATIENT_ID = "NO_PATIENT_ID"
    NO_UID = "NO_UID"
    UID_CONFLICT = "UID_CONFLICT"
    IDENTITY_CONFLICT = "IDENTITY_CONFLICT"
    UNKNOWN_SOP_CLASS = "UNKNOWN_SOP_CLASS"
    SOP_CLASS_NOT_CLEARED = "SOP_CLASS_NOT_CLEARED"
    BURNED_IN_TEXT = "BURNED_IN_TEXT"
    ENCODING_NOT_CLEARED = "ENCODING_NOT_CLEARED"
    PIXELS_UNDECLARED = "PIXELS_UNDECLARED"
    ANONYMIZATION_REFUSED = "ANONYMIZATION_REFUSED"
    SOURCE_MISSING = "SOURCE_MISSING"
    HELD_BY_RULE = "HELD_BY_RULE"
    NO_DESTINATION = "NO_DESTINATION"
    COPY_DIFFERS = "COPY_DIFFERS"
    SAME_UID_OTHER_BYTES = "SAME_UID_OTHER_BYTES"
    INSTANCE_CRASHES = "INSTANCE_CRASHES"
    # Holds by the gate
    GATE_UNREADABLE = "GATE_UNREADABLE"
    GATE_WRONG_ACTION = "GATE_WRONG_ACTION"
    GATE_PRIVATE_ATTRIBUTE = "GATE_PRIVATE_ATTRIBUTE"
    GATE_UNKNOWN_ATTRIBUTE = "GATE_UNKNOWN_ATTRIBUTE"
    GATE_OVERLAY = "GATE_OVERLAY"
    GATE_FOREIGN_UID = "GATE_FOREIGN_UID"
    GATE_IDENTIFIER = "GATE_IDENTIFIER"
    GATE_FILE_META = "GATE_FILE_META"
    GATE_NOT_DECLARED = "GATE_NOT_DECLARED"
    GATE_WRONG_STUDY = "GATE_WRONG_STUDY"
    GATE_PIXELS_CHANGED = "GATE_PIXELS_CHANGED"
    GATE_IOD = "GATE_IOD"
    # Analysis left out
    NOT_CHOSEN = "NOT_CHOSEN"
    LEFT_OUT_BY_RULE = "LEFT_OUT_BY_RULE"
    CAPTURE_OF_EARLIER_VERSION = "CAPTURE_OF_EARLIER_VERSION"
    NO_PIXELS = "NO_PIXELS"
    NOT_GREYSCALE = "NOT_GREYSCALE"
    BIT_DEPTH_NOT_ANALYSED = "BIT_DEPTH_NOT_ANALYSED"
    FOR_PROCESSING = "FOR_PROCESSING"
    MODALITY_NOT_ANALYSED = "MODALITY_NOT_ANALYSED"
    PIXELS_UNDECODABLE = "PIXELS_UNDECODABLE"
    PIXELS_BROKEN_OFF = "PIXELS_BROKEN_OFF"
    TOO_FEW_VALUES = "TOO_FEW_VALUES"
    ANALYSIS_DISABLED = "ANALYSIS_DISABLED"
    ANALYSIS_FAILED = "ANALYSIS_FAILED"
    ANALYSIS_TIMEOUT = "ANALYSIS_TIMEOUT"
    ANALYSIS_CRASHED = "ANALYSIS_CRASHED"
    # Delivery
    LINK_DOWN = "LINK_DOWN"
    CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    DESTINATION_DENIED = "DESTINATION_DENIED"
    ENDPOINT_WRONG = "ENDPOINT_WRONG"
    DESTINATION_BUSY = "DESTINATION_BUSY"
    DESTINATION_FULL = "DESTINATION_FULL"
    DESTINATION_REFUSED = "DESTINATION_REFUSED"
    DESTINATION_REFUSES_ALL = "DESTINATION_REFUSES_ALL"
    DESTINATION_ANSWER_UNCLEAR = "DESTINATION_ANSWER_UNCLEAR"
    NOT_FOUND_AFTER_SENDING = "NOT_FOUND_AFTER_SENDING"
    STORED_BYTES_DIFFER = "STORED_BYTES_DIFFER"
    SYNTAX_REFUSED = "SYNTAX_REFUSED"
    # The operator's commands
    NOT_IN_JOURNAL = "NOT_IN_JOURNAL"
    NOT_HELD = "NOT_HELD"
    NOT_RELEASABLE = "NOT_RELEASABLE"
    NOT_DECIDABLE = "NOT_DECIDABLE"
    NOT_DECIDED = "NOT_DECIDED"
    NOT_REPLACEABLE = "NOT_REPLACEABLE"
    NOT_REPLACED = "NOT_REPLACED"
    AUDIT_UNWRITABLE = "AUDIT_UNWRITABLE"
    FLEET_QC_MISSING = "FLEET_QC_MISSING"
    FILE_UNREADABLE = "FILE_UNREADABLE"
    FILE_UNWRITABLE = "FILE_UNWRITABLE"
    MANIFEST_UNREADABLE = "MANIFEST_UNREADABLE"
    MANIFEST_NOT_GENUINE = "MANIFEST_NOT_GENUINE"
    WRONG_ARGUMENT = "WRONG_ARGUMENT"
    TRUCK_UNREACHABLE = "TRUCK_UNREACHABLE"
    PLUGIN_MISSING = "PLUGIN_MISSING"
    UNEXPECTED = "UNEXPECTED"


class EdgeRouterError(Exception):
    """A code and a sentence. The sentence never holds a patient's identity."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(f"{code}: {sentence}")
        self.code = code
        self.sentence = sentence


class Unforeseen(EdgeRouterError):
    """A fault of ours, or one that no module expects. Its sentence is the type of the exception."""


class SettingsError(EdgeRouterError):
    """The router cannot start with these settings, keys or secrets."""


class JournalError(EdgeRouterError):
    """The journal cannot be opened or written."""


class OrthancError(EdgeRouterError):
    """The truck's Orthanc answered, but not with what was asked for."""


class OrthancUnreachable(OrthancError):
    """The truck's Orthanc did not answer, or the answer broke off."""


class OrthancBrokeOff(OrthancUnreachable):
    """The truck's Orthanc went away in the middle of an answer: perhaps it died of the question."""


class OrthancDenied(OrthancError):
    """The truck's Orthanc refused our user or password."""


class OrthancFull(OrthancError):
    """The truck's disk is full. Says nothing of the instance."""


class ResourceMissing(OrthancError):
    """The truck's Orthanc does not hold the resource."""


class DeliveryError(EdgeRouterError):
    """A destination did not take an instance."""


class LinkDown(DeliveryError):
    """The destination did not answer. Says nothing of the instance."""


class DestinationPaused(DeliveryError):
    """The destination does not let us in. Says nothing of the instance.

    ``retry_after_s`` is what it asked for, in seconds, or ``None``.
    """

    def __init__(self, code: Code, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(code, sentence)
        self.retry_after_s = retry_after_s


class StoreRefused(DestinationPaused):
    """The destination answered an image with what it would answer every other.

    Its probe may say otherwise: so the waits grow until an image has gone through.
    """


class SyntaxRefused(DeliveryError):
    """The destination does not take the transfer syntax of this instance."""


class DeliveryDeferred(DeliveryError):
    """The destination wants this instance later.

    ``retry_after_s`` is what it asked for, in seconds, or ``None``.
    """

    def __init__(self, code: Code, sentence: str, retry_after_s: float | None = None) -> None:
        super().__init__(code, sentence)
        self.retry_after_s = retry_after_s


class OperatorError(EdgeRouterError):
    """The operator's command asks for what cannot be done."""


class Hold(EdgeRouterError):
    """The instance stays on the truck until a person decides. ``code`` is a key of ``holds.ADVICE``."""


class AnalysisSkipped(EdgeRouterError):
    """There is no capture for this image; the image goes on without."""


class IllegalTransition(Exception):
    """The state table has no such row: a fault in the router."""
