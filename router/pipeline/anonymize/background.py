"""Work on another core while Orthanc, the gate or the comparison is at it.

What is begun here has ended when its ``with`` ends, whatever happens: bodies can be closed then.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from router.truck.spool import Body

    Result = TypeVar("Result")

#: A smaller body, a CT slice, is hashed sooner than a thread is begun for it and gets the
#: interpreter.
_LARGE_BYTES = 1 << 20


@contextmanager
def run_in_background(work: Callable[[], Result]) -> Iterator[Callable[[], Result]]:
    """Begins the work; what is yielded waits for its result, and raises what it does."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work).result


@contextmanager
def hashed(
    body: Body, *kinds: Callable[[memoryview], str]
) -> Iterator[Callable[[], tuple[str, ...]]]:
    """Begins to hash; what is yielded waits for the digests, one a kind, and raises what they do.

    The body must not change meanwhile.
    """
    if body.size < _LARGE_BYTES:
        yield lambda: tuple(kind(body.view) for kind in kinds)
        return
    with ThreadPoolExecutor(len(kinds)) as threads:
        begun = [threads.submit(kind, body.view) for kind in kinds]
        yield lambda: tuple(one.result() for one in begun)
