"""What is done to a truck. Each scenario leaves it in trouble or out of it; the runner heals it.

What happens to a link or a destination happens to one of them at a time, by chance, while the others
go on: nothing that one does may hold up another. ``refusing`` has what destinations refuse.
"""

from __future__ import annotations

import io
import tarfile
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.faults.scanning import Scanner, Scanning
from tests.faults.truck import KEY
from tests.link.conditions import Conditions
from tests.support.faulty_pacs import HONEST, Fault
from tests.support.orthancs import DELETE
from tests.support.waiting import until
from tools.audit import study_alias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from tests.faults.places import Place
    from tests.faults.truck import Truck

DAY_S = 86400.0
#: A cut that is noticed and over within a test; those of minutes are the bench's.
_CUT_S = (0.3, 3.0)
#: Share of the kills that come before the router is up.
_WHILE_STARTING = 0.2
_MOBILE = Conditions(rate_bps=20e6, rtt_s=0.06)
#: One study in so many is urgent.
_URGENT = 10
#: Four connections, and a body that is ready: so far the order may slip.
_AT_ONCE = 5
_INDEX = "/var/lib/orthanc-data"


@dataclass(frozen=True)
class Amounts:
    """How much of everything."""

    router_kills: int = 14
    orthanc_kills: int = 6
    both_kills: int = 4
    cuts: int = 14
    pacs_restarts: int = 3
    lies: int = 16
    #: Rounds of destinations in trouble, each with its own.
    troubles: int = 4
    #: Answers that are about a whole destination; and images that are refused for good.
    answers: int = 6
    #: Studies of two days.
    waiting: int = 30
    #: With so many destinations each.
    destinations: tuple[int, ...] = (3,)

    def fewer(self) -> Amounts:
        """For the further numbers of destinations."""
        return replace(
            SHORT, router_kills=self.router_kills // 10, cuts=self.cuts // 10,
            waiting=DEFAULT.waiting, destinations=self.destinations,
        )  # fmt: skip


DEFAULT = Amounts()
SHORT = Amounts(2, 1, 1, 4, 1, 4, 1, 2, 10)
LONG = Amounts(440, 60, 30, 210, 20, 200, 12, 40, 120, (3, 1, 2))


@dataclass
class Run:
    """One run of the scenarios on one truck."""

    truck: Truck
    scanner: Scanner
    amounts: Amounts
    chance: random.Random
    cuts: int = 0
    #: Seconds until the first byte of an image after each outage with something to send.
    recoveries: list[float] = field(default_factory=list)

    def some_ct(self) -> Callable[[], list]:  # type: ignore[type-arg]
        return lambda: self.scanner.ct(slices=3)

    def between(self, least: float, most: float) -> None:
        """A random moment: the moment is the point."""
        time.sleep(self.chance.uniform(least, most))

    def at_work(self) -> None:
        """A random moment of the router's life: mostly at work, now and then while it starts."""
        if self.chance.random() < _WHILE_STARTING:
            self.between(0.1, 1.0)
        else:
            self.truck.router.wait_up()
            self.between(0.0, 1.5)

    def place(self) -> Place:
        """One of the destinations."""
        return self.chance.choice(self.truck.places)

    def some_places(self) -> list[Place]:
        """One of the destinations, or more."""
        places = self.truck.places
        return self.chance.sample(places, self.chance.randint(1, len(places)))

    def mobile(self) -> None:
        """Every link is one of a mobile network."""
        for place in self.truck.places:
            place.link.change(_MOBILE)

    def cut_once(self) -> None:
        """One cut of a random kind of one link, and the time until an image goes there again."""
        place = self.place()
        link = place.link
        self.cuts += 1
        kind = self.chance.choice(["silent", "silent", "reset", "after", "rst"])
        if kind == "rst":
            link.reset()
            return
        if kind == "after":
            link.cut_after(
                self.chance.randrange(1, 60_000), self.chance.choice(["silent", "reset"])
            )
            self.between(0.2, 1.0)
        else:
            link.cut("reset" if kind == "reset" else "silent")
        self.between(*_CUT_S)
        waits = link.is_cut and self.truck.waits_for(place)
        before = len(link.recoveries)
        link.cut_after(1 << 60)
        link.restore()
        if waits:
            until(lambda: len(link.recoveries) > before, 120, what="an image after the cut")
            self.recoveries.append(link.recoveries[before])


# --- kills ------------------------------------------------------------------------------------


def router_killed(run: Run) -> None:
    """The router is killed at random moments while studies go their way."""
    with Scanning(run.scanner, run.some_ct(), 1.5):
        for _ in range(run.amounts.router_kills):
            run.at_work()
            run.truck.router.kill()
            run.truck.router.start()


def orthanc_killed(run: Run) -> None:
    """The truck's Orthanc is killed while the scanner stores and the router reads and writes."""
    with Scanning(run.scanner, run.some_ct(), 0.5):
        for _ in range(run.amounts.orthanc_kills):
            run.between(0.5, 3.0)
            run.truck.kill_orthanc()
            run.truck.start_orthanc()
            run.truck.orthanc.wait_ready()


def both_killed(run: Run) -> None:
    """Both at once, as in a power cut of the truck; the link goes with them now and then."""
    with Scanning(run.scanner, run.some_ct(), 0.5):
        for _ in range(run.amounts.both_kills):
            run.at_work()
            run.truck.kill_orthanc()
            run.truck.router.kill()
            if run.chance.random() < 0.5:
                run.place().link.reset()
            run.truck.router.start()
            run.truck.start_orthanc()
            run.truck.orthanc.wait_ready()


# --- the link ---------------------------------------------------------------------------------


def link_cut(run: Run) -> None:
    """The links of a mobile network: silent cuts, resets, cuts in the middle of a body."""
    run.mobile()
    with Scanning(run.scanner, lambda: run.scanner.ct(slices=4, size=128), 0.1):
        for _ in range(run.amounts.cuts):
            run.between(0.3, 1.5)
            run.cut_once()


def link_cut_and_router_killed(run: Run) -> None:
    """The router is killed while a link is cut, and has to remember what it was at."""
    run.mobile()
    with Scanning(run.scanner, run.some_ct(), 1.0):
        for _ in range(max(2, run.amounts.cuts // 6)):
            link = run.place().link
            run.between(0.5, 2.0)
            run.cuts += 1
            link.cut_after(run.chance.randrange(1, 60_000))
            run.at_work()
            run.truck.router.kill()
            run.truck.router.start()
            run.between(0.5, 1.5)
            link.cut_after(1 << 60)
            link.restore()


# --- the PACS ---------------------------------------------------------------------------------


def pacs_restarted(run: Run) -> None:
    """The cloud's Orthanc is killed in the middle of what it stores."""
    with Scanning(run.scanner, run.some_ct(), 0.3):
        for _ in range(run.amounts.pacs_restarts):
            run.between(1.0, 3.0)
            run.truck.cloud.container.get_wrapped_container().kill("SIGKILL")
            run.between(0.5, 2.0)
            run.truck.start_cloud()


def pacs_lies(run: Run) -> None:
    """Answers that are lost, wrong, late, partial, or say the opposite of what was done."""
    for place in run.truck.places:
        place.peer.script.extend(run.chance.choice(place.passing) for _ in range(run.amounts.lies))
    run.scanner.hand_over(run.scanner.mammogram())
    # A lie that was believed takes no second body: so many studies come until every lie is told.
    end = time.monotonic() + 300
    while untold := [place for place in run.truck.places if place.peer.script]:
        assert time.monotonic() < end, f"lies that {untold[0].name} was never asked for"
        run.scanner.hand_over(run.scanner.ct(slices=4))
        run.between(0.5, 1.5)


def destinations_in_trouble(run: Run) -> None:
    """One is down, one lies, one wants nothing for now: each for itself, and in turn."""
    for _ in range(run.amounts.troubles):
        for place in run.truck.places:
            match run.chance.choice(["down", "lies", "busy", "honest"]):
                case "down":
                    run.cuts += 1
                    place.link.cut(run.chance.choice(["silent", "reset"]))
                case "lies":
                    place.peer.script.extend(run.chance.choice(place.passing) for _ in range(4))
                case "busy":
                    place.peer.otherwise = lambda _: Fault(503, b"", stores=0, reason=0xA700)
        run.scanner.hand_over(run.scanner.ct(slices=3))
        run.scanner.hand_over(run.scanner.mammogram())
        run.between(2.0, 6.0)
        for place in run.truck.places:
            place.peer.otherwise = lambda _: HONEST
            place.link.restore()


# --- the truck itself -------------------------------------------------------------------------


def clock_set(run: Run) -> None:
    """The truck's clock jumps a day ahead and two days back while it works, and while it waits."""
    busy = run.some_places()
    for place in busy:
        place.peer.otherwise = lambda _: Fault(503, b"", stores=0, reason=0xA700)
    run.scanner.hand_over(run.scanner.ct())
    for offset in (DAY_S, -DAY_S, 0.0):
        run.truck.router.set_clock(offset)
        run.scanner.hand_over(run.scanner.ct())
        run.between(1.5, 2.5)
    for place in busy:
        place.peer.otherwise = lambda _: HONEST
    for offset in (-DAY_S, DAY_S):
        run.truck.router.set_clock(offset)
        run.scanner.hand_over(run.scanner.ct())
        run.between(1.0, 2.0)
        run.truck.router.kill()
        run.truck.router.start()
    run.scanner.hand_over(run.scanner.mammogram())
    run.between(2.0, 3.0)
    run.truck.router.set_clock(0.0)


def two_days_without_a_link(run: Run) -> None:
    """The studies of two days wait, each tenth of them urgent; then all go, the urgent first."""
    truck, number = run.truck, run.amounts.waiting
    for place in truck.places:
        place.link.cut()
        run.cuts += 1
    order: dict[bool, list[str]] = {True: [], False: []}
    for count in range(number):
        truck.router.set_clock(2 * DAY_S * count / number)
        urgent = count % _URGENT == _URGENT - 1
        (image,) = run.scanner.ct(slices=1, size=64)
        if urgent:
            image.dataset.RequestedProcedurePriority = "STAT"
        run.scanner.hand_over([image])
        alias = study_alias(KEY, image.patient.patient_id, image.study_uid)
        order[urgent].append(alias)
        until(lambda a=alias: a in truck.router.known(), 60, what="the study known")  # type: ignore[misc]
        # What is under way until it is known that the link is down has its own order.
        until(lambda: truck.are_all_closed, 60, what="closed gates")
    wanted = order[True] + order[False]
    until(lambda: _states(truck, wanted) == {"ANALYSED"}, 120, what="all copies")
    for place in truck.places:
        place.link.restore()
    # Where the machine's disk is full, what is delivered everywhere leaves the truck at once.
    until(lambda: _are_delivered(truck, wanted), 300, what="all delivered")
    assert not any(s["held"] for s in truck.router.studies() if s["study"] in set(wanted))
    # The first of them was under way when the links were found to be down.
    first = order[False][0]
    wanted.remove(first)
    for place in truck.places:
        went = [alias for alias in truck.router.sent(place.name) if alias in set(wanted)]
        moved = [abs(went.index(alias) - at) for at, alias in enumerate(wanted)]
        assert max(moved) <= _AT_ONCE, f"{place.name}: out of their order, by up to {max(moved)}"


def _are_delivered(truck: Truck, aliases: Collection[str]) -> bool:
    states = _states(truck, aliases)
    return bool(states) and states <= {"DELIVERED", "PURGED"}


def _states(truck: Truck, aliases: Collection[str]) -> set[str]:
    return {s["state"] for s in truck.router.studies() if s["study"] in set(aliases)}


def change_list_cleared(run: Run) -> None:
    """Orthanc's list of changes is emptied before the router has seen it."""
    run.truck.router.kill()
    run.scanner.hand_over(run.scanner.ct())
    answer = run.truck.orthanc.request("DELETE", "/changes", headers=DELETE)
    answer.raise_for_status()
    run.truck.router.start()
    run.scanner.hand_over(run.scanner.ct())


def index_rolled_back(run: Run) -> None:
    """Orthanc's index is put back as it was some studies ago; the files lie in its storage still."""
    container = run.truck.orthanc.container.get_wrapped_container()
    run.scanner.hand_over(run.scanner.ct())
    until(lambda: run.truck.undelivered() == 0, 60, what="the first study delivered")
    container.stop(timeout=20)
    chunks, _ = container.get_archive(f"{_INDEX}/index")
    before = b"".join(chunks)
    container.start()
    run.truck.orthanc.wait_ready()
    run.truck.router.kill()
    run.scanner.hand_over(run.scanner.ct())
    run.scanner.hand_over(run.scanner.mammogram())
    run.truck.router.start()
    run.between(0.5, 3.0)
    run.truck.kill_orthanc()
    container.put_archive(_INDEX, _without_wal(before))
    run.truck.start_orthanc()
    run.truck.orthanc.wait_ready()
    run.scanner.hand_over(run.scanner.ct())


def _without_wal(index: bytes) -> bytes:
    """The index of an archive, with an empty write-ahead log beside it."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(index)) as old,
        tarfile.open(fileobj=made, mode="w") as new,
    ):
        for member in old.getmembers():
            new.addfile(member, old.extractfile(member))
            for name in ("index-wal", "index-shm"):
                empty = tarfile.TarInfo(name)
                empty.uid, empty.gid, empty.mode = member.uid, member.gid, member.mode
                new.addfile(empty)
    return made.getvalue()


def truck_full(run: Run) -> None:
    """The scanner fills the truck while the link is down; what was refused comes again later."""
    for place in run.truck.places:
        place.link.cut()
        run.cuts += 1
    end = time.monotonic() + 60
    studies = []
    while not run.scanner.refused and time.monotonic() < end:
        studies.append(run.scanner.ct(slices=4, size=256))
        run.scanner.hand_over(studies[-1], deadline_s=20)
    assert run.scanner.refused, "the truck never said that it is full"
    run.between(2.0, 4.0)
    for place in run.truck.places:
        place.link.restore()
    # The scanner of a full truck tries again; in the end there must be room for all of it.
    done = threading.Event()

    def try_again() -> bool:
        for study in studies:
            run.scanner.hand_over(study, deadline_s=10)
        if all(image.sop_uid in run.scanner.acknowledged for study in studies for image in study):
            done.set()
        return done.is_set()

    until(try_again, 180, what="room for what the truck had refused")
