"""What an answer of a DICOMweb service says of the service as a whole, and of a question to it."""

from __future__ import annotations

import http
import time
from typing import TYPE_CHECKING, Any

from router.destinations.retry_after import retry_after_s
from router.destinations.statuses import HTTP, Meaning, meaning_of
from router.records.errors import Code, DeliveryDeferred, DestinationPaused

if TYPE_CHECKING:
    import requests

#: Of a read-back: what passes by itself, and need not keep the images.
_PASSING = frozenset({Code.DESTINATION_BUSY, Code.DESTINATION_FULL})
#: What nginx's own pages say where a client's certificate is missing or refused.
_NGINX_ON_CERTIFICATES = (b"No required SSL certificate was sent", b"The SSL certificate error")
_SHORT_PAGE_BYTES = 1000


def check_certificate(response: requests.Response, error: type[DestinationPaused]) -> None:
    """Raises ``error`` where a proxy misses our certificate.

    It says so behind the handshake, by a 400 like any other.
    """
    if response.status_code == http.HTTPStatus.BAD_REQUEST and any(
        text in response.content[:_SHORT_PAGE_BYTES] for text in _NGINX_ON_CERTIFICATES
    ):
        raise error(Code.DESTINATION_DENIED, "it does not accept our certificate")


def asked_for_s(response: requests.Response) -> float | None:
    """Seconds until it wants to be asked again (Retry-After); ``None``: it does not say."""
    return retry_after_s(response.headers, time.time())


def check_service(response: requests.Response, passed: frozenset[int] = frozenset()) -> None:
    """Raises DestinationPaused where an answer to a question is about the whole destination.

    ``passed``: statuses that are no word on it.
    """
    check_certificate(response, DestinationPaused)
    status = response.status_code
    row = meaning_of(status, HTTP)
    if row.code is not None and row.meaning is Meaning.EVERYTHING and status not in passed:
        raise DestinationPaused(row.code, f"answered {status}", asked_for_s(response))


def list_of(response: requests.Response) -> list[Any]:
    """The list that answers a read-back. Raises DestinationPaused, DeliveryDeferred.

    Where the questions alone are too many or its index is down, images may go on all the same.
    """
    try:
        check_service(response)
    except DestinationPaused as paused:
        if paused.code in _PASSING:
            raise DeliveryDeferred(
                paused.code, f"the read-back was {paused.sentence}", paused.retry_after_s
            ) from None
        raise
    if not response.ok:
        raise DeliveryDeferred(
            Code.DESTINATION_BUSY,
            f"the read-back was answered {response.status_code}",
            asked_for_s(response),
        )
    try:
        return list(response.json())
    except (ValueError, TypeError):
        raise DeliveryDeferred(
            Code.DESTINATION_ANSWER_UNCLEAR, "the read-back's answer is no list"
        ) from None
