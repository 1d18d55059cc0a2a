"""Wrong passwords cost time: counted by account and address, in memory. Pure: the time is handed in.

A right password of a machine is always taken, since 192 random bits are not guessed and whoever
shares a truck's address must not be able to lock it out. People wait.
"""

from __future__ import annotations

from collections import OrderedDict

#: So many wrong ones of one account from one address …
FREE = 5
#: … then this long for each further one, doubled up to the longest.
FIRST_S, LONGEST_S = 30.0, 900.0
#: Of one account from anywhere: guesses from many addresses.
FREE_FROM_ANYWHERE = 50
#: Of one address to any account.
FREE_OF_ADDRESS = 30
_MOST = 10_000
_FORGOTTEN_S = 3600.0


class Lockout:
    """How long who has to wait."""

    def __init__(self) -> None:
        #: Count and time of the last.
        self._wrong: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def wait_s(self, account: str, address: str, now: float) -> float:
        """Seconds until a password is looked at again; 0: now."""
        return max(
            self._of((account, address), FREE, now),
            self._of((account, "*"), FREE_FROM_ANYWHERE, now),
            self._of(("*", address), FREE_OF_ADDRESS, now),
        )

    def wrong(self, account: str, address: str, now: float) -> int:
        """Notes a wrong password; how many it were of this account from this address."""
        for key in ((account, "*"), ("*", address), (account, address)):
            count, last = self._wrong.pop(key, (0, now))
            count = 1 if now - last > _FORGOTTEN_S else count + 1
            self._wrong[key] = (count, now)
        while len(self._wrong) > _MOST:
            self._wrong.popitem(last=False)
        return count

    def right(self, account: str, address: str) -> None:
        """Forgets what this account did wrong from this address."""
        self._wrong.pop((account, address), None)

    def _of(self, key: tuple[str, str], free: int, now: float) -> float:
        count, last = self._wrong.get(key, (0, now))
        if count < free:
            return 0.0
        wait = min(FIRST_S * 2.0 ** min(count - free, 10), LONGEST_S)
        return max(0.0, last + wait - now)
