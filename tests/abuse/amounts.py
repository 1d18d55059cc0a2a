"""How much is attacked, and what."""

from __future__ import annotations

from dataclasses import dataclass

#: What is attacked: the scanner's port and what comes through it; the cloud's entrance.
PARTS = ("truck", "cloud")


@dataclass(frozen=True)
class Amounts:
    """How many of each."""

    sockets: int
    images: int
    requests: int
    bodies: int
    samples: int
    passwords: int
    rounds: int
    silent: int
    calm_s: float
    bombs: bool


LONG = Amounts(1800, 1600, 1600, 240, 60, 120, 8, 1000, 20.0, bombs=True)
SHORT = Amounts(60, 60, 80, 18, 8, 12, 1, 300, 6.0, bombs=False)
