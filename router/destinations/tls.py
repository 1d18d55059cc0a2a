"""TLS towards a destination: its certificate against ours to trust, and ours to show.

Of the BCP 195 profile (PS3.15, B.12; RFC 9325): TLS 1.2 or newer, and of TLS 1.2 only key exchange
with forward secrecy and authenticated encryption. The host's name is always checked.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, FilePath, model_validator

from router.destinations.base import DestinationSettings
from router.records.errors import Code, DestinationPaused, SettingsError

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

#: Hosts to which nothing needs to be encrypted.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
#: What a server has said before it closed has arrived when the failure has.
_ALERT_S = 0.5
#: Names that OpenSSL gives to alerts (RFC 8446, 6.2) by which a server refuses a client's certificate.
_REFUSES_OURS = (
    "CERTIFICATE_REQUIRED", "UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED",
    "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN", "UNSUPPORTED_CERTIFICATE", "HANDSHAKE_FAILURE",
    "ACCESS_DENIED",
)  # fmt: skip


class TlsSettings(DestinationSettings):
    """What every kind of destination can be told about TLS."""

    ca_file: Annotated[
        FilePath | None,
        Field(
            description="CA certificates that the server must be signed by; default: the system's"
        ),
    ] = None
    client_certificate_file: Annotated[
        FilePath | None,
        Field(description="Certificate (with its chain) that the router shows to the server"),
    ] = None
    client_key_file: Annotated[
        FilePath | None, Field(description="Private key of that certificate, without a passphrase")
    ] = None

    insecure: Annotated[
        bool,
        Field(description="Allow plain text to another machine. For closed networks only"),
    ] = False

    @model_validator(mode="after")
    def _certificate_has_key(self) -> TlsSettings:
        if (self.client_certificate_file is None) != (self.client_key_file is None):
            message = "client_certificate_file and client_key_file need each other"
            raise ValueError(message)
        return self

    def check_tls(self) -> None:
        """Reads the certificates and the key. Raises SettingsError (SECRET_UNREADABLE)."""
        make_context(self)


class _Socket(ssl.SSLSocket):
    """Lets its context remember what went wrong: pynetdicom tells only that something did."""

    def connect(self, addr: Any) -> None:  # noqa: ANN401  (of the base)
        try:
            super().connect(addr)
        except OSError:
            self.close()  # pynetdicom leaves it open
            raise

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  (of the base)
        with self._noted():
            super().do_handshake(block)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        # In TLS 1.3 a server refuses our certificate after our side of the handshake.
        with self._noted():
            return super().recv(buflen, flags)

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401  (of the base)
        try:
            return super().send(data, flags)
        except ssl.SSLError:
            hear_alert(self)
            raise

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            cast("TlsContext", self.context).trouble = error
            raise


class TlsContext(ssl.SSLContext):
    """A client's context. ``trouble``: the error that its last connection met."""

    sslsocket_class = _Socket
    trouble: ssl.SSLError | None = None


def make_context(settings: TlsSettings) -> TlsContext:
    """Reads the files anew, so that a renewed certificate needs no restart.

    Raises SettingsError (SECRET_UNREADABLE).
    """
    context = TlsContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    trusted, shown, key = (
        settings.ca_file,
        settings.client_certificate_file,
        settings.client_key_file,
    )
    try:
        if trusted is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(trusted)
        if shown is not None and key is not None:
            # A key with a passphrase would ask for it on the terminal: an empty one refuses it.
            context.load_cert_chain(shown, key, password="")
    except (OSError, ValueError) as error:
        raise SettingsError(
            Code.SECRET_UNREADABLE,
            f"The certificates or the key of destination {settings.name} cannot be read "
            f"({type(error).__name__}).",
        ) from None
    return context


def hear_alert(sock: socket.socket | None) -> None:
    """Where a server closed a connection, it may have said why before: raises that SSLError."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(_ALERT_S)
        try:
            sock.recv(1)
        except ssl.SSLError as alert:
            if "alert" in str(alert):
                raise
        except OSError:
            return


def pause_for(error: object) -> None:
    """Raises DestinationPaused for what stays so until somebody mends a certificate.

    ``error``: of ssl, or of who wraps it. Only the names of OpenSSL's reasons are read; nothing of
    the text goes on.
    """
    text = str(error).upper().replace(" ", "_")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        raise DestinationPaused(
            Code.CERTIFICATE_REFUSED, "its certificate is not one that this router trusts"
        )
    # "ALERT": it is the server that says so.
    if "ALERT" in text and any(name in text for name in _REFUSES_OURS):
        raise DestinationPaused(Code.DESTINATION_DENIED, "it does not accept our certificate")
