"""Sign-in with an OpenID provider, through Authlib: authorization code with PKCE, and a nonce.

The provider says who somebody is. Who comes in is still decided by the accounts: a file in
``readers/`` with the name that the provider's claim gives, whatever the file holds.
"""

from __future__ import annotations

import logging
import secrets
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.responses import RedirectResponse, Response

from entrance.pages import whither

if TYPE_CHECKING:
    from starlette.requests import Request

    from entrance.accounts import Accounts
    from entrance.pages import Pages
    from entrance.settings import Provider
    from entrance.tickets import Ticket

_COOKIE = "__Host-edge-provider"
_VALID_S = 600.0
_MOST_PENDING = 1000
_TIMEOUT_S = 10.0
#: Signatures with a key pair alone: with a shared secret the client could sign for the provider.
_ALGORITHMS = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]

_log = logging.getLogger("entrance")


class _RefusedError(Exception):
    """The provider's answer is not believed."""


@dataclass(frozen=True)
class _Pending:
    """A sign-in that went to the provider and has not come back."""

    state: str
    nonce: str
    verifier: str
    to: str
    begun: float


class SignIn:
    """The two addresses of it."""

    def __init__(self, provider: Provider, accounts: Accounts, pages: Pages) -> None:
        self._provider = provider
        self._accounts = accounts
        self._pages = pages
        self._pending: dict[str, _Pending] = {}
        self._trust: ssl.SSLContext | bool = True
        if provider.ca_file:
            self._trust = ssl.create_default_context(cafile=provider.ca_file)

    @property
    def unfinished(self) -> int:
        """How many sign-ins went to the provider and have not come back."""
        return len(self._pending)

    async def leave(self, request: Request, _: Ticket) -> Response:
        """Sends the browser to the provider."""
        one = _Pending(
            secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48),
            whither(request.query_params.get("next", "/")), time.monotonic(),
        )  # fmt: skip
        try:
            async with self._client(request) as client:
                found = await self._metadata(client)
                url, _state = client.create_authorization_url(
                    found["authorization_endpoint"], state=one.state, nonce=one.nonce,
                    code_verifier=one.verifier,
                )  # fmt: skip
        except (httpx2.HTTPError, AuthlibBaseError, _RefusedError) as error:
            return self._failed(error)
        key = self._keep(one)
        answer = RedirectResponse(url, 303)
        # Lax: it must come along when the provider sends the browser back.
        answer.set_cookie(_COOKIE, key, secure=True, httponly=True, samesite="lax",
                          max_age=int(_VALID_S))  # fmt: skip
        return answer

    async def back(self, request: Request, _: Ticket) -> Response:
        """Takes the browser in with what the provider says."""
        one = self._pending.pop(request.cookies.get(_COOKIE, ""), None)
        if (
            one is None
            or time.monotonic() - one.begun > _VALID_S
            or not secrets.compare_digest(request.query_params.get("state", ""), one.state)
        ):
            return self._failed(_RefusedError())
        try:
            name = await self._name(request, one)
        except (httpx2.HTTPError, AuthlibBaseError, JoseError, _RefusedError, ValueError) as error:
            return self._failed(error)
        if not self._accounts.is_reader(name):
            _log.warning("a stranger was sent by the provider", extra={"action": "sign-in"})
            return self._pages.say("You have no account here. Ask operations for one.", 403)
        return self._pages.begin(name, one.to)

    async def _name(self, request: Request, one: _Pending) -> str:
        """The reader's name, of an ID token that is checked (OpenID Connect Core, 3.1.3.7)."""
        async with self._client(request) as client:
            found = await self._metadata(client)
            token = await client.fetch_token(
                found["token_endpoint"], code=request.query_params.get("code", ""),
                grant_type="authorization_code", code_verifier=one.verifier,
            )  # fmt: skip
            keys = await client.request("GET", found["jwks_uri"], withhold_token=True)
            keys.raise_for_status()
        checked = jwt.decode(
            str(token.get("id_token", "")), KeySet.import_key_set(keys.json()),
            algorithms=_ALGORITHMS,
        )  # fmt: skip
        jwt.JWTClaimsRegistry(
            leeway=60,
            iss={"essential": True, "value": self._provider.issuer},
            aud={"essential": True, "value": self._provider.client_id},
            nonce={"essential": True, "value": one.nonce},
            exp={"essential": True},
        ).validate(checked.claims)
        return str(checked.claims.get(self._provider.claim, ""))

    async def _metadata(self, client: AsyncOAuth2Client) -> dict[str, str]:
        """The provider's addresses (OpenID Connect Discovery), all of them of https."""
        answer = await client.request(
            "GET", f"{self._provider.issuer}/.well-known/openid-configuration", withhold_token=True
        )
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
        found = {name: str(said.get(name, "")) for name in wanted}
        if str(said.get("issuer", "")).rstrip("/") != self._provider.issuer or not all(
            address.startswith("https://") for address in found.values()
        ):
            raise _RefusedError
        return found

    def _client(self, request: Request) -> AsyncOAuth2Client:
        return AsyncOAuth2Client(
            self._provider.client_id, self._provider.client_secret, scope="openid profile",
            redirect_uri=f"https://{request.headers.get('host', '')}/sign-in/back",
            code_challenge_method="S256", timeout=_TIMEOUT_S, verify=self._trust, trust_env=False,
        )  # fmt: skip

    def _keep(self, one: _Pending) -> str:
        old = [key for key, kept in self._pending.items()
               if one.begun - kept.begun > _VALID_S]  # fmt: skip
        for key in old or list(self._pending)[: max(0, len(self._pending) - _MOST_PENDING + 1)]:
            del self._pending[key]
        key = secrets.token_urlsafe(24)
        self._pending[key] = one
        return key

    def _failed(self, error: Exception) -> Response:
        # What the provider says may quote what it was asked: only the kind is logged.
        _log.warning(
            "the provider's sign-in failed",
            extra={"action": "sign-in", "reason": type(error).__name__},
        )
        return self._pages.say("The sign-in did not succeed. Please try again.", 502)
