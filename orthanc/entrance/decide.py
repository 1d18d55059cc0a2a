"""Whether a request is let in, as whom, and where it goes. The one place that says yes."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import quote

from entrance import routes, target
from entrance.accounts import Identity
from entrance.routes import Action, Who

if TYPE_CHECKING:
    from collections.abc import Callable

    from entrance.accounts import Accounts
    from entrance.archive import Upstream
    from entrance.lockout import Lockout
    from entrance.metrics import Metrics
    from entrance.state import State
    from entrance.tickets import Tickets

SESSION_COOKIE = "__Host-edge-session"
#: Of a body, as its header says; bodies without a length are counted as they come.
LARGEST_BODY = 1024 * 1024 * 1024 + 1024 * 1024
#: A truck that searches without naming a study sees the newest of its own.
_OWN_STUDIES = 32
#: Matches nothing: under this root no UID is given out.
_NO_STUDY = "2.25.0"
_CERTIFICATE = re.compile(r"SUCCESS CN=([A-Za-z0-9_-]{1,64})")
_HOST = re.compile(r"[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:]{2,39}\](:[0-9]{1,5})?")
_NOBODY = Identity(Who.ANYONE, "")
_FROM_OUTSIDE = frozenset({"cross-site", "same-site"})

_NOT_LISTED: dict[type[Exception], int] = {routes.NoRouteError: 404, routes.WrongMethodError: 405}

_log = logging.getLogger("entrance")


@dataclass(frozen=True)
class Asked:
    """A request as nginx describes it."""

    raw: str
    method: str
    host: str
    address: str
    authorization: str = ""
    session: str = ""
    cookie: str = ""
    origin: str = ""
    #: Sec-Fetch-Site and Sec-Fetch-Mode: a browser sends them, and no page can forge them.
    site: str = ""
    mode: str = ""
    accept: str = ""
    length: str = ""
    chunked: bool = False
    certificate: str = ""


@dataclass(frozen=True)
class Decision:
    """What nginx does."""

    status: int = 200
    #: Where it carries the request: a whole address, built here.
    to: str = ""
    #: Or which of the viewer's files it sends.
    file: str = ""
    #: What it shows there.
    authorization: str = ""
    ticket: str = ""
    cookie: str = ""
    #: Where it sends the browser instead.
    location: str = ""
    #: Ask for Basic credentials.
    asks: bool = field(default=False)


class Door:
    """Decides."""

    def __init__(
        self, accounts: Accounts, state: State, tickets: Tickets, lockout: Lockout,
        metrics: Metrics, now: Callable[[], float], own_url: str,
        readers: Upstream, trucks: Upstream,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._state = state
        self._tickets = tickets
        self._lockout = lockout
        self._metrics = metrics
        self._now = now
        self._own = own_url.rstrip("/")
        self._readers = readers
        self._trucks = trucks

    def decide(self, asked: Asked) -> Decision:
        """What becomes of a request."""
        decision = self._decided(asked)
        self._metrics.decisions.labels(str(decision.status)).inc()
        return decision

    def _decided(self, asked: Asked) -> Decision:
        try:
            meant = target.parse(asked.raw)
            match = routes.find(asked.method, meant)
        except (target.BadTargetError, routes.BadQueryError, LookupError) as error:
            return Decision(_NOT_LISTED.get(type(error), 400))
        if status := _unsound(asked):
            return Decision(status)
        identity = self._identity(asked)
        if isinstance(identity, Decision):
            return identity
        if identity.who not in match.route.who:
            return self._refused(asked, match, meant, identity)
        if identity.who is Who.READER and asked.method == "POST" and not _says_own(asked):
            return Decision(403)
        return self._let_in(asked, match, identity)

    def _refused(
        self, asked: Asked, match: routes.Match, meant: target.Target, identity: Identity
    ) -> Decision:
        if identity.who is not Who.ANYONE:
            return Decision(403)
        if match.route.action is Action.VIEWER and (
            asked.mode == "navigate" or "text/html" in asked.accept
        ):
            return Decision(303, location=f"/sign-in?next={quote(str(meant), safe='')}")
        # A browser would ask for a password of its own, which nobody here has.
        return Decision(401, asks=not asked.mode)

    def _identity(self, asked: Asked) -> Identity | Decision:
        if asked.authorization:
            return self._machine(asked)
        if asked.session:
            name = self._state.signed_in(asked.session, self._now())
            if name is not None and self._accounts.is_reader(name):
                return Identity(Who.READER, name)
        return _NOBODY

    def _machine(self, asked: Asked) -> Identity | Decision:
        name, password = _basic(asked.authorization)
        certificate = _CERTIFICATE.fullmatch(asked.certificate)
        found = self._accounts.machine(name, password, certificate[1] if certificate else "")
        account = name if self._accounts.is_known(name) else "unknown"
        if found is not None:
            self._lockout.right(account, asked.address)
            return found
        waits = self._lockout.wait_s(account, asked.address, self._now()) > 0
        note_wrong(self._lockout, self._metrics, account, asked.address, self._now())
        return Decision(429) if waits else Decision(401, asks=True)

    def _let_in(self, asked: Asked, match: routes.Match, identity: Identity) -> Decision:
        action = match.route.action
        if action is Action.ALIVE:
            return Decision(file="/health.txt")
        if action is Action.VIEWER:
            return Decision(file="/index.html")
        if action is Action.FILE:
            return Decision(file=str(match.target))
        if action in {Action.SEARCH, Action.RETRIEVE}:
            return self._to_archive(match, identity)
        study = match.parts.get("study", "")
        sealed = self._tickets.sealed(action, identity.who, identity.name, study, self._now())
        to = (
            f"{self._own}{match.target}"
            if action is Action.PAGE
            else f"{self._own}/carried/{action}"
        )
        return Decision(to=to, ticket=sealed, cookie=asked.cookie if action is Action.PAGE else "")

    def _to_archive(self, match: routes.Match, identity: Identity) -> Decision:
        if identity.who is Who.READER:
            return self._carried(match.target, self._readers)
        study = match.parts.get("study")
        if study is not None:
            # Of another truck's study a truck does not even learn that it exists.
            if not self._state.is_of(study, identity.name):
                return Decision(404)
            return self._carried(match.target, self._trucks)
        return self._carried(self._of_own(match.target, identity.name), self._trucks)

    def _of_own(self, asked: target.Target, truck: str) -> target.Target:
        """A search among a truck's own studies."""
        named = [value for name, value in asked.query
                 if name in {"StudyInstanceUID", "0020000D"}]  # fmt: skip
        rest = tuple(pair for pair in asked.query
                     if pair[0].upper() not in {"STUDYINSTANCEUID", "0020000D"})  # fmt: skip
        if named:
            wanted = [uid for value in named for uid in value.split(",")]
            own = [uid for uid in wanted[:_OWN_STUDIES] if self._state.is_of(uid, truck)]
        else:
            own = self._state.newest(truck, _OWN_STUDIES)
        return replace(asked, query=(*rest, ("StudyInstanceUID", ",".join(own) or _NO_STUDY)))

    def _carried(self, to: target.Target, archive: Upstream) -> Decision:
        return Decision(to=f"{archive.url}{to}", authorization=archive.authorization)


def note_wrong(lockout: Lockout, metrics: Metrics, account: str, address: str, now: float) -> None:
    """Counts a wrong password; logs the first ones, and then at each doubling."""
    count = lockout.wrong(account, address, now)
    metrics.wrong_passwords.labels(account).inc()
    if count <= 5 or count & (count - 1) == 0:  # noqa: PLR2004
        _log.warning(
            "wrong password",
            extra={"action": "sign-in", "account": account, "address": address, "count": count},
        )


def _unsound(asked: Asked) -> int:
    """The status for a request that nobody may send like this; 0: it is sound."""
    if not _HOST.fullmatch(asked.host) or not _sound_body(asked):
        return 400
    if asked.length.isdigit() and int(asked.length) > LARGEST_BODY:
        return 413
    return 0 if _of_this_site(asked) else 403


def _sound_body(asked: Asked) -> bool:
    """Only what is posted has a body, and its length is said in one way."""
    if asked.length and not (asked.length.isdigit() and len(asked.length) < 20):  # noqa: PLR2004
        return False
    if asked.method == "POST":
        return not (asked.length and asked.chunked)
    return not asked.chunked and asked.length in {"", "0"}


def _of_this_site(asked: Asked) -> bool:
    """Whether no page of another site sends it. A link that is followed is no such request."""
    if asked.site in _FROM_OUTSIDE and not (asked.mode == "navigate" and asked.method == "GET"):
        return False
    return not asked.origin or asked.origin == f"https://{asked.host}"


def _says_own(asked: Asked) -> bool:
    """Whether a browser says that this site's own page sends it."""
    return asked.site == "same-origin" or asked.origin == f"https://{asked.host}"


def _basic(authorization: str) -> tuple[str, str]:
    """User and password (RFC 7617); both empty: there are none."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password
