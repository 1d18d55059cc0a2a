"""What the entrance told nginx about a request, in a form that it knows again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass

#: From the decision until nginx hands the request over. The body may take hours from then on.
_VALID_S = 60.0


@dataclass(frozen=True)
class Ticket:
    """A request that was let in."""

    action: str
    who: str
    name: str
    study: str
    until: float


class Tickets:
    """Sealed with a key that lives as long as the process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def sealed(self, action: str, who: str, name: str, study: str, now: float) -> str:
        """For nginx to hand back."""
        text = json.dumps(asdict(Ticket(action, who, name, study, now + _VALID_S))).encode()
        return f"{base64.urlsafe_b64encode(text).decode()}.{self.seal(text)}"

    def opened(self, sealed: str, action: str, now: float) -> Ticket | None:
        """The ticket; None: it is none of ours, for something else, or too old."""
        text, _, seal = sealed.partition(".")
        try:
            content = base64.urlsafe_b64decode(text)
        except ValueError:
            return None
        if not hmac.compare_digest(self.seal(content).encode(), seal.encode()):
            return None
        ticket = Ticket(**json.loads(content))
        return ticket if ticket.action == action and now <= ticket.until else None

    def seal(self, content: bytes) -> str:
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()
