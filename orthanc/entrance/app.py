"""Wiring: the addresses of the entrance itself, which nobody but nginx and Prometheus can reach."""

from __future__ import annotations

import http
import logging
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

import anyio
from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from entrance import digests, remote_write
from entrance.accounts import Accounts
from entrance.archive import ArchiveDownError, Upstream
from entrance.decide import SESSION_COOKIE, Asked, Decision, Door
from entrance.lockout import Lockout
from entrance.metrics import Metrics
from entrance.pages import Pages
from entrance.routes import Action
from entrance.series import SeriesBound
from entrance.state import State
from entrance.stow import Guard
from entrance.tickets import Ticket, Tickets

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

    from entrance.oidc import SignIn
    from entrance.settings import Provider, Settings

    Carried: TypeAlias = Callable[[Request, Ticket], Awaitable[Response]]

_RETRY_S = "10"
_SHOWN_BY_PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"

_log = logging.getLogger("entrance")


class Entrance:
    """All of its parts."""

    def __init__(self, settings: Settings, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._metrics = Metrics()
        self._state = State(settings.state, settings.adopting)
        self._tickets = Tickets()
        accounts = Accounts(settings.accounts, certificates=settings.certificates)
        lockout = Lockout()
        archives = {
            user: Upstream(settings.archive_url, user, password)
            for user, password in settings.archive_users.items()
        }
        self._asking = archives["entrance"]
        self._prometheus = Upstream(settings.prometheus_url)
        self._guard = Guard(archives["store"], self._asking, self._state, self._metrics, now)
        self._door = Door(
            accounts, self._state, self._tickets, lockout, self._metrics, now, settings.own_url,
            archives["reader"], archives["store"],
        )  # fmt: skip
        self._pages = Pages(
            accounts,
            self._state,
            self._tickets,
            lockout,
            self._metrics,
            now,
            with_provider=settings.provider is not None,
        )
        self.provider = _sign_in_of(settings.provider, accounts, self._pages)
        #: Unpacked metrics are the largest things in memory: one request at a time.
        self._sieving = anyio.Semaphore(1)
        self._series = SeriesBound()

    def app(self) -> Starlette:
        """The ASGI application."""
        pages = {
            "/sign-in": self._pages.sign_in,
            "/sign-in/style.css": self._pages.style,
            "/sign-out": self._pages.sign_out,
        }
        if self.provider is not None:
            pages["/sign-in/with-provider"] = self.provider.leave
            pages["/sign-in/back"] = self.provider.back
        carried = {
            Action.STORE: self._store, Action.DIGEST: self._digest, Action.MEASURE: self._measure,
        }  # fmt: skip
        return Starlette(
            routes=[
                Route("/alive", _alive),
                Route("/decide", self._decide),
                Route("/metrics", self._show_metrics),
                *(Route(path, self._with_ticket(Action.PAGE, page), methods=["GET", "POST"])
                  for path, page in pages.items()),
                *(Route(f"/carried/{action}", self._with_ticket(action, does), methods=["POST"])
                  for action, does in carried.items()),
            ],
            lifespan=self._lifespan,
        )  # fmt: skip

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        _log.info("started", extra={"action": "start"})
        yield
        self._state.close()

    async def _decide(self, request: Request) -> Response:
        return _told(self._door.decide(_asked(request)))

    async def _show_metrics(self, _: Request) -> Response:
        return Response(generate_latest(self._metrics.registry), media_type=_SHOWN_BY_PROMETHEUS)

    def _with_ticket(
        self, action: Action, does: Carried
    ) -> Callable[[Request], Awaitable[Response]]:
        """Only what was decided a moment ago is done."""

        async def done(request: Request) -> Response:
            ticket = self._tickets.opened(
                request.headers.get("x-edge-ticket", ""), action, self._now()
            )
            if ticket is None:
                return Response(status_code=http.HTTPStatus.FORBIDDEN)
            try:
                return await does(request, ticket)
            except ArchiveDownError:
                _log.warning("nothing answers behind the entrance", extra={"action": action.value})
                return Response(status_code=503, headers={"Retry-After": _RETRY_S})

        return done

    async def _store(self, request: Request, ticket: Ticket) -> Response:
        answer = await self._guard.store(
            ticket.name, ticket.study, request.headers.get("content-type", ""), request.stream()
        )
        return Response(answer.body, answer.status, media_type=answer.content_type)

    async def _digest(self, request: Request, ticket: Ticket) -> Response:
        body = await _whole(request, digests.LARGEST_QUESTION)
        try:
            found = await digests.answer(body or b"", ticket.name, self._state, self._asking)
        except digests.BadQuestionError:
            return PlainTextResponse("this question is not answered\n", 400)
        return JSONResponse(found)

    async def _measure(self, request: Request, ticket: Ticket) -> Response:
        async with self._sieving:
            body = await _whole(request, remote_write.LARGEST_BODY)
            if body is None:
                return PlainTextResponse("the request is too large\n", 413)
            try:
                sieved = remote_write.sieve(body, ticket.name, self._now(), self._series)
            except remote_write.BadWriteError:
                self._metrics.refused_samples.labels(ticket.name, "form").inc()
                return PlainTextResponse("no remote write request\n", 400)
            answer = None
            if sieved.body:
                answer = await self._prometheus.post(
                    "/api/v1/write", sieved.body, "application/x-protobuf",
                    Content_Encoding="snappy", X_Prometheus_Remote_Write_Version="0.1.0",
                )  # fmt: skip
        if answer is not None and answer.status >= http.HTTPStatus.BAD_REQUEST:
            return Response(answer.body, answer.status, media_type="text/plain")
        if sieved.refused:
            return self._refused(ticket.name, sieved)
        return Response(status_code=http.HTTPStatus.NO_CONTENT)

    def _refused(self, truck: str, sieved: remote_write.Sieved) -> Response:
        """Says whose samples were left out, and why; what was sound has been passed on."""
        for reason, count in sieved.refused.items():
            self._metrics.refused_samples.labels(truck, reason).inc(count)
            _log.warning(
                "samples were refused",
                extra={"action": "measure", "truck": truck, "reason": reason, "count": count},
            )
        if sieved.refused["future"]:
            self._metrics.future_seconds.labels(truck).set(sieved.ahead_s)
        said = ", ".join(f"{reason} {count}" for reason, count in sorted(sieved.refused.items()))
        return PlainTextResponse(f"samples of truck {truck} were refused: {said}\n", 400)


def _sign_in_of(provider: Provider | None, accounts: Accounts, pages: Pages) -> SignIn | None:
    if provider is None:
        return None
    # Half of the memory that the entrance may take; most have no provider.
    from entrance.oidc import SignIn  # noqa: PLC0415

    return SignIn(provider, accounts, pages)


async def _alive(_: Request) -> Response:
    return Response()


async def _whole(request: Request, most: int) -> bytes | None:
    """A small body; None: it is larger."""
    pieces, length = [], 0
    async for piece in request.stream():
        length += len(piece)
        if length > most:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _asked(request: Request) -> Asked:
    """The request that nginx asks about, from the headers that nginx sets."""
    headers = request.headers
    return Asked(
        raw=headers.get("x-edge-target", ""),
        method=headers.get("x-edge-method", ""),
        host=headers.get("host", ""),
        address=headers.get("x-edge-address", ""),
        authorization=headers.get("authorization", ""),
        session=request.cookies.get(SESSION_COOKIE, ""),
        cookie=headers.get("cookie", ""),
        origin=headers.get("origin", ""),
        site=headers.get("sec-fetch-site", ""),
        mode=headers.get("sec-fetch-mode", ""),
        accept=headers.get("accept", ""),
        length=headers.get("x-edge-length", ""),
        chunked=bool(headers.get("x-edge-chunked")),
        certificate=headers.get("x-edge-certificate", ""),
    )


def _told(decision: Decision) -> Response:
    """The decision in the terms of nginx's auth_request: 200, 401, or 403 with the true status."""
    said = {
        "X-Edge-Status": str(decision.status),
        "X-Edge-To": decision.to,
        # A file that the viewer does not have, so that the request is carried on.
        "X-Edge-File": decision.file or "/.none",
        "X-Edge-Authorization": decision.authorization,
        "X-Edge-Ticket": decision.ticket,
        "X-Edge-Cookie": decision.cookie,
        "X-Edge-Location": decision.location,
    }
    headers = {name: value for name, value in said.items() if value}
    if decision.status == http.HTTPStatus.OK:
        return Response(headers=headers)
    if decision.status == http.HTTPStatus.UNAUTHORIZED:
        if decision.asks:
            headers["WWW-Authenticate"] = 'Basic realm="edge-router", charset="UTF-8"'
        return Response(status_code=http.HTTPStatus.UNAUTHORIZED, headers=headers)
    return Response(status_code=http.HTTPStatus.FORBIDDEN, headers=headers)
