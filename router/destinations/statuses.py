"""What an answer means for the instance that was sent, by its class: one policy, in two tables.

C-STORE answers with a status (PS3.4, B.2.3; PS3.7, annex C); STOW-RS has the same numbers as Failure
Reason and Warning Reason (PS3.18, table I.2-2), and an HTTP status around them (RFC 9110, 15). A
status that stands in no list is treated as its class is: the last rows of each table take all that
is left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from router.destinations.base import Stored
from router.records.errors import Code, DeliveryDeferred, Hold, StoreRefused, SyntaxRefused

if TYPE_CHECKING:
    from collections.abc import Iterable


class Meaning(StrEnum):
    """What an answer is about, and so what follows. Each value is what the documents say."""

    STORED = "it is stored: read back"
    CHANGED = "it is stored, with attributes changed: read back, never sent again"
    DUPLICATE = "it is there already, they say: read back"
    EVERYTHING = "about the link or everything that is sent there: the destination is paused"
    MAY_MEND = "may mend: three tries, an hour or more apart, while others go through; then held"
    OTHER_SYNTAX = "sent once more in Explicit VR Little Endian; refused in that, it is held"
    FINAL = "final for this image: held at once"


@dataclass(frozen=True)
class Row:
    """One rule: these answers mean this."""

    numbers: Iterable[int]
    #: As the documents show them.
    shown: str
    meaning: Meaning
    code: Code | None
    #: Where it comes from.
    source: str

    def __post_init__(self) -> None:
        if not isinstance(self.numbers, range):
            object.__setattr__(self, "numbers", frozenset(self.numbers))


#: HTTP statuses of an answer that has no word on the instance. The first row that fits counts.
HTTP: tuple[Row, ...] = (
    Row(
        range(200, 300), "2xx", Meaning.STORED, None,
        "success, without a word on the instance: the read-back tells",
    ),
    Row(
        range(300, 400), "3xx", Meaning.EVERYTHING, Code.ENDPOINT_WRONG,
        "another place: nobody has chosen it to get images",
    ),
    Row(
        (401, 402, 403, 407, 440, 451, 495, 496, 498, 511, 561),
        "401, 402, 403, 407, 440, 451, 495, 496, 498, 511, 561",
        Meaning.EVERYTHING, Code.DESTINATION_DENIED,
        "credentials, certificate, account, sign-in of the network or of a load balancer",
    ),
    Row(
        (404, 405, 406, 410, 411, 421, 426, 431, 464, 497, 501, 505),
        "404, 405, 406, 410, 411, 421, 426, 431, 464, 497, 501, 505",
        Meaning.EVERYTHING, Code.ENDPOINT_WRONG,
        "the service, its path, method or protocol: the same for every image",
    ),
    Row(
        (408, 423, 425, 429, 460, 499), "408, 423, 425, 429, 460, 499",
        Meaning.EVERYTHING, Code.DESTINATION_BUSY,
        "the moment and not the request: too slow, locked, too early, too many",
    ),
    Row(
        (413,), "413", Meaning.FINAL, Code.DESTINATION_REFUSED,
        "content too large: the same body stays so",
    ),
    Row(
        (415,), "415", Meaning.OTHER_SYNTAX, Code.SYNTAX_REFUSED, "unsupported media type",
    ),
    Row(
        range(400, 500), "400, 409, 424 and every other 4xx", Meaning.MAY_MEND,
        Code.DESTINATION_ANSWER_UNCLEAR, "as 400: the request, without a word on what of it",
    ),
    Row(
        (507,), "507", Meaning.EVERYTHING, Code.DESTINATION_FULL, "insufficient storage",
    ),
    Row(
        range(1000), "every other 5xx; what is no status", Meaning.EVERYTHING,
        Code.DESTINATION_BUSY, "as 500: the server or a gateway on the way",
    ),
)  # fmt: skip

#: C-STORE statuses, and Failure and Warning Reasons of STOW-RS. The first row that fits counts.
STATUSES: tuple[Row, ...] = (
    Row((0x0000,), "0000", Meaning.STORED, None, "success"),
    Row(
        (0x0001, 0x0107, 0x0116, *range(0xB000, 0xC000)), "0001, 0107, 0116, Bxxx",
        Meaning.CHANGED, None, "warning: coerced, left out or doubted",
    ),
    Row(
        (0x0111,), "0111 (B00E as a Failure Reason)", Meaning.DUPLICATE, None,
        "duplicate SOP instance",
    ),
    Row(
        (0x0124,), "0124", Meaning.EVERYTHING, Code.DESTINATION_DENIED, "refused: not authorized",
    ),
    Row(
        (0x0211,), "0211", Meaning.EVERYTHING, Code.ENDPOINT_WRONG,
        "unrecognized operation: it takes no C-STORE",
    ),
    Row(
        (0x0213,), "0213", Meaning.EVERYTHING, Code.DESTINATION_BUSY, "resource limitation",
    ),
    Row(
        (0xA770, 0xA771), "A770, A771", Meaning.FINAL, Code.DESTINATION_REFUSED,
        "dcm4chee: the note of rejection is there already, the object was rejected",
    ),
    Row(
        range(0xA700, 0xA800), "A7xx", Meaning.EVERYTHING, Code.DESTINATION_FULL,
        "refused: out of resources",
    ),
    Row(
        (0xC122,), "C122", Meaning.OTHER_SYNTAX, Code.SYNTAX_REFUSED,
        "transfer syntax not supported (PS3.18)",
    ),
    Row(
        (0x0105, 0x0106, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121, 0x0122,
         *range(0xA900, 0xAA00)),
        "0105, 0106, 0115, 0117–0122, A9xx", Meaning.FINAL, Code.DESTINATION_REFUSED,
        "its class, its attributes, or both together: the same data set stays so",
    ),
    Row(
        range(0x10000), "0110, Cxxx and every other", Meaning.MAY_MEND,
        Code.DESTINATION_ANSWER_UNCLEAR, "processing failure, cannot understand, or unknown",
    ),
)  # fmt: skip
#: Azure says so of a duplicate, among what failed.
_DUPLICATE_AMONG_FAILURES = 0xB00E
#: Not believed of an instance that stands among those that failed.
_SAYS_STORED = frozenset({Meaning.STORED, Meaning.CHANGED})


def meaning_of(number: int, table: tuple[Row, ...]) -> Row:
    """The row of a table that takes this number; the last one takes what is no status at all."""
    return next((row for row in table if number in row.numbers), table[-1])


def store_outcome(status: int, words: str = "") -> Stored:
    """What became of an instance that was answered with this status (0 to FFFF).

    ``words``: what the peer said beside it, as ``peer_words`` leaves it. Raises StoreRefused,
    SyntaxRefused, DeliveryDeferred or Hold (DESTINATION_REFUSED).
    """
    return _follow(meaning_of(status, STATUSES), _text(f"status {status:04X}", words))


def stored(*, changed: bool) -> Stored:
    """Returns what became of an instance that is listed as stored; ``changed``: with a warning."""
    return Stored.COERCED if changed else Stored.STORED


def failure_outcome(
    reason: int | None, words: str = "", retry_after_s: float | None = None
) -> Stored:
    """Raises what is to follow for an instance that is listed as failed, unless it is a duplicate.

    ``reason``: a DIMSE status; ``None``: none was given. What is listed there is not stored, whatever
    the reason says. Raises as ``store_outcome``.
    """
    if reason is None:
        raise DeliveryDeferred(
            Code.DESTINATION_ANSWER_UNCLEAR,
            _text("failed without a reason", words),
            retry_after_s,
        )
    if reason == _DUPLICATE_AMONG_FAILURES:
        return Stored.DUPLICATE
    row = meaning_of(reason, STATUSES)
    if row.meaning in _SAYS_STORED:
        row = STATUSES[-1]
    return _follow(row, _text(f"failure reason {reason:04X}", words), retry_after_s)


def http_outcome(
    status: int, words: str = "", retry_after_s: float | None = None, *, alone: bool = True
) -> Stored:
    """Returns what became of an instance whose answer says no more of it than its HTTP status.

    ``alone``: it was the only one of its request; of several nobody knows which one is meant, and
    each goes alone the next time. Raises as ``store_outcome``.
    """
    row = meaning_of(status, HTTP)
    text = _text(f"HTTP {status}", words)
    if not alone and row.meaning not in {Meaning.STORED, Meaning.EVERYTHING}:
        raise DeliveryDeferred(Code.DESTINATION_ANSWER_UNCLEAR, text, retry_after_s)
    return _follow(row, text, retry_after_s)


def _follow(row: Row, text: str, retry_after_s: float | None = None) -> Stored:
    match row.meaning:
        case Meaning.STORED:
            return Stored.STORED
        case Meaning.CHANGED:
            return Stored.COERCED
        case Meaning.DUPLICATE:
            return Stored.DUPLICATE
    code = row.code or Code.DESTINATION_ANSWER_UNCLEAR
    match row.meaning:
        case Meaning.EVERYTHING:
            raise StoreRefused(code, text, retry_after_s)
        case Meaning.OTHER_SYNTAX:
            raise SyntaxRefused(code, text)
        case Meaning.FINAL:
            raise Hold(code, text)
    raise DeliveryDeferred(code, text, retry_after_s)


def _text(number: str, words: str) -> str:
    return f"{number} ({words})" if words else number
