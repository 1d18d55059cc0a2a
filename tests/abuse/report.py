"""What is known after an attack, and what of it is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass, field

#: Figures to reach.
_MOST_DELAY_S, _MOST_DOOR_S, _MOST_ROUTER_MIB, _MOST_DOOR_MIB = 15.0, 2.0, 512, 64


@dataclass
class Report:
    """What is known after it."""

    cases: int = 0
    survived: int = 0
    restarts: dict[str, int] = field(default_factory=dict)
    delayed_p95_s: float = 0.0
    door_p95_s: float = 0.0
    good_studies: int = 0
    #: Good studies that did not arrive, and what the truck says of them.
    lost: list[str] = field(default_factory=list)
    intrusions: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    router_peak_mib: float = 0.0
    door_peak_mib: float = 0.0
    not_tried: list[str] = field(default_factory=list)

    def faults(self) -> list[str]:
        """What is not as it should be, in words."""
        said = [f"intrusion: {one}" for one in self.intrusions]
        said += [f"identifier outside: {one}" for one in self.leaks]
        said += [f"{name} was started again {n} times" for name, n in self.restarts.items() if n]
        said += [f"not tried: {one}" for one in self.not_tried]
        said += [f"did not arrive: {one}" for one in self.lost]
        bounds = (
            ("good studies delayed, s", self.delayed_p95_s, _MOST_DELAY_S),
            ("the scanner's door, s", self.door_p95_s, _MOST_DOOR_S),
            ("the router's memory, MiB", self.router_peak_mib, _MOST_ROUTER_MIB),
            ("the door's memory, MiB", self.door_peak_mib, _MOST_DOOR_MIB),
            ("good studies that did not arrive", len(self.lost), 0),
            ("cases that were not survived", self.cases - self.survived, 0),
        )
        said += [f"{what}: {value:.1f} > {most}" for what, value, most in bounds if value > most]
        if not self.good_studies:
            said.append("no good study was sent: nothing is known of them")
        return said

    def line(self) -> str:
        """The line that a run ends with."""
        orthancs = self.restarts.get("truck-orthanc", 0) + self.restarts.get("cloud-orthanc", 0)
        return (
            f"abuse: cases={self.cases} survived={self.survived} orthanc_restarts={orthancs}"
            f" router_restarts={self.restarts.get('router', 0)}"
            f" good_studies_delayed_p95_s={self.delayed_p95_s:.1f}"
            f" scanner_door_p95_s={self.door_p95_s:.2f} intrusions={len(self.intrusions)}"
            f" identifiers_outside={len(self.leaks)} router_peak_mib={self.router_peak_mib:.0f}"
            f" door_peak_mib={self.door_peak_mib:.0f} good_studies={self.good_studies}"
            f" lost={len(self.lost)}"
        )
