"""All scenarios, in the order in which they are run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import refusing, scenarios

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.scenarios import Run

SCENARIOS: tuple[Callable[[Run], None], ...] = (
    scenarios.router_killed,
    scenarios.orthanc_killed,
    scenarios.both_killed,
    scenarios.link_cut,
    scenarios.link_cut_and_router_killed,
    scenarios.pacs_restarted,
    scenarios.pacs_lies,
    scenarios.destinations_in_trouble,
    refusing.everything_refused,
    refusing.refused_for_good,
    refusing.refused_until_mended,
    scenarios.clock_set,
    scenarios.two_days_without_a_link,
    scenarios.change_list_cleared,
    scenarios.index_rolled_back,
)
#: On a truck with little room.
SMALL_TRUCK: tuple[Callable[[Run], None], ...] = (scenarios.truck_full,)
SMALL_TRUCK_MIB = 12
