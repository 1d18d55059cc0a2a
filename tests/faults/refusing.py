"""What destinations refuse: one image for good, one until it is mended, or everything for a while.

The others must not wait, what is refused must be tried as often as its kind allows and no more, and
nothing may be held that nobody refused.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.faults.places import FINAL, MENDING, OF_ALL, OF_ALL_SLOWLY
from tests.faults.truck import KEY
from tests.support.faulty_pacs import HONEST
from tests.support.waiting import until
from tools.audit import pseudonymous_uid, study_alias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.faults.places import Place
    from tests.faults.scanning import Image
    from tests.faults.scenarios import Run
    from tests.support.faulty_pacs import Fault

#: A little more than what lies between two tries of what may mend.
HOUR_S = 4200.0
_MOST_TRIES = 3


def refused_for_good(run: Run) -> None:
    """Some destinations refuse an image for good: one body each, and the others get it."""
    for _ in range(max(2, run.amounts.answers // 2)):
        study = run.scanner.ct(slices=3)
        for place in run.some_places():
            chosen = run.chance.choice(study)
            fault = run.chance.choice(_spoken_at(place, FINAL))
            place.peer.account.refuses[pseudonymous_uid(KEY, chosen.sop_uid)] = fault
        run.scanner.hand_over(study)
    every = run.scanner.mammogram()
    for place in run.truck.places:
        fault = run.chance.choice(_spoken_at(place, FINAL))
        place.peer.account.refuses[pseudonymous_uid(KEY, every[0].sop_uid)] = fault
    run.scanner.hand_over(every)
    _settled(run, every)
    # The refused do not come back by themselves, whatever time goes by.
    for hours in range(1, 4):
        run.truck.router.set_clock(hours * HOUR_S)
        run.between(1.0, 2.0)


def _settled(run: Run, study: Sequence[Image]) -> None:
    image = study[0]
    alias = study_alias(KEY, image.patient.patient_id, image.study_uid)

    def rests() -> bool:
        return any(s["at_rest"] for s in run.truck.router.studies() if s["study"] == alias)

    until(rests, 120, what="a study at rest in which each destination refused an image")


def refused_until_mended(run: Run) -> None:
    """An image is refused once, or again and again, with what may mend; others go through."""
    mended, never = run.scanner.ct(slices=3), run.scanner.ct(slices=3)
    places = run.some_places()
    for place in places:
        for study in (mended, never):
            uid = pseudonymous_uid(KEY, study[1].sop_uid)
            place.peer.account.refuses[uid] = run.chance.choice(_spoken_at(place, MENDING))
    run.scanner.hand_over(mended)
    run.scanner.hand_over(never)
    for place in places:
        _tried(run, place, mended[1], 1)
        _tried(run, place, never[1], 1)
        del place.peer.account.refuses[pseudonymous_uid(KEY, mended[1].sop_uid)]
    for hours in range(1, _MOST_TRIES + 3):
        run.truck.router.set_clock(hours * HOUR_S)
        run.scanner.hand_over(run.scanner.ct(slices=1))  # it takes others all the while
        for place in places:
            _tried(run, place, never[1], min(hours + 1, _MOST_TRIES))
    for place in run.truck.places:
        for uid, moments in place.peer.account.mending.items():
            apart = [later - one for one, later in pairwise(moments)]
            assert len(moments) <= _MOST_TRIES, f"{place.name}: {uid} came {len(moments)} times"
            assert not apart or min(apart) >= 3600.0, (
                f"{place.name}: tries {min(apart):.0f} s apart"
            )


def _spoken_at(place: Place, faults: Mapping[str, Fault]) -> list[Fault]:
    """Those that a destination can answer: DIMSE has no status around the status of an image."""
    return [f for f in faults.values() if place.name != "research" or f.status == 409]


def _tried(run: Run, place: Place, image: Image, times: int) -> None:
    uid = pseudonymous_uid(KEY, image.sop_uid)
    account = place.peer.account
    until(
        lambda: len(account.mending[uid]) >= times or uid not in account.refuses,
        120,
        what=f"try {times} of an image that {place.name} refuses",
    )
    assert len(account.mending[uid]) <= times
    run.between(0.0, 0.5)


def everything_refused(run: Run) -> None:
    """A destination answers everything with what is about all of it: it is paused, nothing is held."""
    fast = run.chance.sample(list(OF_ALL.values()), min(run.amounts.answers, len(OF_ALL)))
    slow = run.chance.sample(list(OF_ALL_SLOWLY.values()), 1 + run.amounts.answers // 10)
    held_before = _held(run)
    for fault in (*fast, *slow):
        # A status of HTTP has no other meaning on a DICOM network.
        places = [place for place in run.some_places() if place.name != "research"]
        before = [place.peer.requests for place in places]
        for place in places:
            place.peer.otherwise = partial(_always, fault)
        run.scanner.hand_over(run.scanner.ct(slices=3))
        for place, number in zip(places, before, strict=True):
            until(partial(_asked, place, number), 180, what=f"a body for {place.name}")
        run.between(0.5, 2.0)
        for place in places:
            place.peer.otherwise = partial(_always, HONEST)
        assert _held(run) == held_before, f"something is held for {fault}"
    # Some of it may as well have been meant for single images: these are tried again in an hour.
    run.truck.router.set_clock(HOUR_S)
    until(lambda: run.truck.undelivered() == 0, 180, what="everything at every destination")


def _always(fault: Fault, _: list[str]) -> Fault:
    return fault


def _asked(place: Place, before: int) -> bool:
    return place.peer.requests > before


def _held(run: Run) -> int:
    """How many holds of delivery there are."""
    return sum(row["destination"] is not None for row in run.truck.router.held())
