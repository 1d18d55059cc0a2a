"""The boundary around one item: a fault that nobody foresaw is of this item, and the others go on."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

from router.records.errors import Code, EdgeRouterError, Unforeseen

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)


@contextmanager
def one_item(
    action: str, study: str = "", passing: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Lets errors of the router's own tree pass, and those of ``passing``; logs all else.

    ``study``: its alias, for the log. Raises Unforeseen (UNEXPECTED) in place of all else; its
    sentence is the type alone, because texts of third parties can hold identifiers.
    """
    try:
        yield
    except EdgeRouterError:
        raise
    except passing:
        raise
    except Exception as error:
        name = type(error).__name__
        extra = {"action": action, "code": Code.UNEXPECTED} | ({"study": study} if study else {})
        _log.exception("an item failed in a way that nobody foresaw", extra=extra)
        raise Unforeseen(Code.UNEXPECTED, name) from error
