"""The pages of the sign-in. Each stands alone: no script, one style sheet, one form."""

from __future__ import annotations

import html
import http
import logging
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote

import anyio.to_thread
from starlette.responses import HTMLResponse, RedirectResponse, Response

from entrance import routes, target
from entrance.decide import SESSION_COOKIE, note_wrong
from entrance.routes import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from entrance.accounts import Accounts
    from entrance.lockout import Lockout
    from entrance.metrics import Metrics
    from entrance.state import State
    from entrance.tickets import Ticket, Tickets

_FORM_COOKIE = "__Host-edge-form"
_LARGEST_FORM = 8 * 1024
#: Of people that sign in at one moment; each password takes a processor for 30 ms.
_MOST_AT_ONCE = 8

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { display: grid; place-items: center; min-height: 90vh; margin: 1rem; }
main { width: min(22rem, 100%); }
label { display: block; margin: 1rem 0 .25rem; }
input { box-sizing: border-box; width: 100%; padding: .6rem; font: inherit; }
button { margin-top: 1.5rem; width: 100%; padding: .7rem; font: inherit; }
[role=alert] { border-left: .3rem solid #c62828; padding: .5rem .8rem; }
"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/sign-in/style.css"></head>
<body><main><h1>{title}</h1>{content}</main></body></html>
"""
_FORM = """{said}<form method="post" action="/sign-in">
<input type="hidden" name="form" value="{form}"><input type="hidden" name="next" value="{next}">
<label for="user">User</label>
<input id="user" name="user" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Sign in</button></form>{provider}"""
_PROVIDER = '<p><a href="/sign-in/with-provider?next={to}">Sign in with your organisation</a></p>'
_OUT = """<p>You are signed in as {name}.</p><form method="post" action="/sign-out">
<input type="hidden" name="form" value="{form}"><button>Sign out</button></form>"""

_log = logging.getLogger("entrance")


class Pages:
    """Answers them."""

    def __init__(
        self, accounts: Accounts, state: State, tickets: Tickets, lockout: Lockout,
        metrics: Metrics, now: Callable[[], float], *, with_provider: bool = False,
    ) -> None:  # fmt: skip
        self._accounts = accounts
        self._state = state
        self._tickets = tickets
        self._lockout = lockout
        self._metrics = metrics
        self._now = now
        self._with_provider = with_provider
        self._busy = 0

    async def style(self, _: Request, __: Ticket) -> Response:
        return Response(STYLE, media_type="text/css")

    async def sign_in(self, request: Request, _: Ticket) -> Response:
        if request.method != "POST":
            return self._form(request, whither(request.query_params.get("next", "/")))
        form = await _form(request)
        if form is None or not self._is_ours(request, form):
            return self._form(request, "/", "The page had grown old. Please try again.", 403)
        return await self._try(request, form)

    async def sign_out(self, request: Request, ticket: Ticket) -> Response:
        if request.method != "POST":
            content = _OUT.format(name=html.escape(ticket.name), form="{form}")
            return self._page(request, "Edge router", content)
        form = await _form(request)
        if form is None or not self._is_ours(request, form):
            return self._page(request, "Edge router", "<p>Please go back and try again.</p>", 403)
        self._state.sign_out(request.cookies.get(SESSION_COOKIE, ""))
        answer = RedirectResponse("/sign-in", http.HTTPStatus.SEE_OTHER)
        answer.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
        return answer

    def begin(self, reader: str, to: str) -> Response:
        """Signs a reader in who has shown who it is."""
        token = self._state.sign_in(reader, self._now())
        _log.info("signed in", extra={"action": "sign-in", "account": reader})
        answer = RedirectResponse(to, http.HTTPStatus.SEE_OTHER)
        answer.set_cookie(SESSION_COOKIE, token, secure=True, httponly=True, samesite="lax")
        return answer

    def say(self, text: str, status: int) -> Response:
        """A page that says one thing, and leads back to the form."""
        content = f'<p role="alert">{html.escape(text)}</p><p><a href="/sign-in">Sign in</a></p>'
        return HTMLResponse(_PAGE.format(title="Sign in", content=content), status)

    async def _try(self, request: Request, form: dict[str, str]) -> Response:
        user, to = form.get("user", "").strip(), whither(form.get("next", "/"))
        address = request.headers.get("x-edge-address", "")
        account = user if self._accounts.is_reader(user) else "unknown"
        wait_s = self._lockout.wait_s(account, address, self._now())
        if wait_s > 0 or self._busy >= _MOST_AT_ONCE:
            return self._form(request, to, "Too many tries. Please wait a few minutes.", 429)
        self._busy += 1
        try:
            found = await anyio.to_thread.run_sync(
                self._accounts.reader, user, form.get("password", "")
            )
        finally:
            self._busy -= 1
        if found is None:
            note_wrong(self._lockout, self._metrics, account, address, self._now())
            return self._form(request, to, "User or password is wrong.", 401)
        self._lockout.right(account, address)
        return self.begin(found.name, to)

    def _is_ours(self, request: Request, form: dict[str, str]) -> bool:
        """Whether this site's own page sends the form: the browser says so, and it has the token."""
        origin, site = request.headers.get("origin", ""), request.headers.get("sec-fetch-site", "")
        own = origin == f"https://{request.headers.get('host', '')}" or (
            not origin and site == "same-origin"
        )
        cookie = request.cookies.get(_FORM_COOKIE, "")
        return own and bool(cookie) and secrets.compare_digest(
            form.get("form", "").encode(), self._tickets.seal(b"form" + cookie.encode()).encode()
        )  # fmt: skip

    def _form(self, request: Request, to: str, said: str = "", status: int = 200) -> Response:
        content = _FORM.format(
            said=f'<p role="alert">{html.escape(said)}</p>' if said else "",
            next=html.escape(to, quote=True), form="{form}",
            provider=_PROVIDER.format(to=quote(to, safe="")) if self._with_provider else "",
        )  # fmt: skip
        return self._page(request, "Sign in", content, status)

    def _page(self, request: Request, title: str, content: str, status: int = 200) -> Response:
        cookie = request.cookies.get(_FORM_COOKIE) or secrets.token_urlsafe(24)
        form = self._tickets.seal(b"form" + cookie.encode())
        answer = HTMLResponse(
            _PAGE.format(title=title, content=content.replace("{form}", form)), status
        )
        answer.set_cookie(_FORM_COOKIE, cookie, secure=True, httponly=True, samesite="strict")
        answer.headers["Cache-Control"] = "no-store"
        return answer


def whither(to: str) -> str:
    """Where a reader goes after the sign-in: an address of the viewer, or its list."""
    try:
        meant = target.parse(to)
        match = routes.find("GET", meant)
    except (ValueError, LookupError):
        return "/"
    return str(meant) if match.route.action is Action.VIEWER else "/"


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a posted form; None: it is none."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=8)
    except ValueError:
        return None
    return {name: values[0] for name, values in fields.items() if len(values) == 1}
