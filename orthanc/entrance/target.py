"""The address of a request, read once. Pure.

Two programs that read one address differently let in what neither of them meant to. So this is the
only reading that counts: what it understood is put together anew, and only that is passed on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

#: Longer ones are nobody's: a list of 32 frames of a study is far below.
LONGEST = 4096
#: In no address that anybody needs, and each of them read in two ways by somebody.
_FORBIDDEN = re.compile(r"[^!-~]|[\\\"<>^`{|}#;]")
#: What a percent sign may not hide: controls, `%` itself (double encoding), `;` and the backslash.
_HIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f%;\\]")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DOTS = re.compile(r"\.+")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
#: Some servers read a method out of these. They are left out, whatever they say.
OVERRIDES = frozenset(
    {"_method", "method", "_httpmethod", "x-http-method", "x-http-method-override",
     "x-method-override"}
)  # fmt: skip


class BadTargetError(ValueError):
    """The address can be read in more than one way, or in none. Answered with 400."""


@dataclass(frozen=True)
class Target:
    """An address in its parts."""

    #: Of the path; none for "/".
    segments: tuple[str, ...]
    #: Names and values, decoded, in their order.
    query: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The address, built from the parts."""
        return built("/" + "/".join(self.segments), self.query)


def built(path: str, query: tuple[tuple[str, str], ...]) -> str:
    """A path with its query, in which all that is no letter or digit is escaped."""
    asked = "&".join(f"{name}={quote(value, safe='-._~,')}" for name, value in query)
    return f"{path}?{asked}" if asked else path


def parse(raw: str) -> Target:
    """The parts of a request's raw target (RFC 9112, 3.2.1). Raises BadTargetError."""
    if len(raw) > LONGEST or not raw.startswith("/") or _FORBIDDEN.search(raw):
        raise BadTargetError
    path, _, query = raw.partition("?")
    # No route needs an escape in its path.
    if "%" in path:
        raise BadTargetError
    segments = tuple(path.split("/")[1:])
    if segments == ("",):
        segments = ()
    # An empty one at the end is no route, and nothing worse.
    if any(_DOTS.fullmatch(part) for part in segments) or "" in segments[:-1]:
        raise BadTargetError
    return Target(segments, tuple(_pairs(query)))


def _pairs(query: str) -> list[tuple[str, str]]:
    pairs = []
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if not _NAME.fullmatch(name):
            raise BadTargetError
        if name.lower() not in OVERRIDES:
            pairs.append((name, _value(value)))
        else:
            _value(value)
    return pairs


def _value(text: str) -> str:
    if _ESCAPE.search(text):
        raise BadTargetError
    try:
        value = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:  # Latin-1, overlong forms, half characters
        raise BadTargetError from None
    if _HIDDEN.search(value):
        raise BadTargetError
    return value
