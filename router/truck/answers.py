"""What an answer of the truck's Orthanc means: its status, and what a client raised instead of one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from router.records.errors import (
    Code,
    OrthancBrokeOff,
    OrthancDenied,
    OrthancError,
    OrthancFull,
    OrthancUnreachable,
    ResourceMissing,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNAUTHORIZED, _FORBIDDEN, _FULL = 401, 403, 507
NOT_FOUND: Final = 404

# Reading changes nothing, so a broken connection is simply tried again.
reading_again = retry(
    retry=retry_if_exception_type(OrthancUnreachable),
    stop=stop_after_attempt(3),
    wait=wait_random_exponential(multiplier=0.1, max=1.0),
    reraise=True,
)


def json_of(response: Any) -> Any:  # noqa: ANN401  (JSON; pyorthanc answers a union)
    """The JSON of an answer. Raises OrthancError."""
    check(response)
    return response.json()


def check(response: httpx.Response) -> None:
    """Raises what the status of an answer means, unless it is a success."""
    check_status(response.status_code)


def check_status(status: int) -> None:
    """Raises OrthancError, or one of its kinds, unless the HTTP status is a success."""
    if httpx.codes.is_success(status):
        return
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        raise OrthancDenied(
            Code.ORTHANC_DENIED,
            f"The truck's Orthanc refused the router ({status}): check its user and password.",
        )
    if status == NOT_FOUND:
        raise ResourceMissing(Code.RESOURCE_MISSING, "The truck's Orthanc does not hold it.")
    if status == _FULL:
        raise OrthancFull(Code.TRUCK_FULL, "The truck's disk is full.")
    raise OrthancError(Code.ORTHANC_REFUSED, f"The truck's Orthanc answered {status}.")


@contextmanager
def coded() -> Iterator[None]:
    """Third parties' texts can hold identifiers: only the type of their exceptions goes on."""
    try:
        yield
    except (httpx.ReadError, httpx.RemoteProtocolError) as error:
        raise OrthancBrokeOff(
            Code.ORTHANC_UNREACHABLE,
            f"The truck's Orthanc broke off its answer ({type(error).__name__}).",
        ) from None
    except httpx.HTTPError as error:
        raise OrthancUnreachable(
            Code.ORTHANC_UNREACHABLE,
            f"The truck's Orthanc cannot be reached ({type(error).__name__}).",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise OrthancError(
            Code.ORTHANC_REFUSED,
            f"The truck's Orthanc gave no usable answer ({type(error).__name__}).",
        ) from None
