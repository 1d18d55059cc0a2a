"""Who called at the scanner's door: from the door's file into the journal."""

from __future__ import annotations

import json
import tempfile
from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from door.callers import Callers as DoorsCallers
from door.figures import Reason
from router.journal import Journal
from router.records import holds
from router.truck import callers

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=10,
)
names = st.sampled_from(
    ["calling", "called", "address", "first_at", "last_at", "accepted", "refused", "reason"]
)


def test_what_the_door_writes_is_what_the_journal_knows(tmp_path: Path) -> None:
    path = tmp_path / "callers.json"
    door = DoorsCallers(path)
    door.note("SCANNER", "EDGETRUCK", "10.0.0.1", "", 100.0)
    door.note("NEW", "EDGETRUCK", "10.0.0.2", "UNKNOWN_CALLER", 101.0)
    door.save()
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.callers.note(callers.read(path), 102.0)
        assert [(c.calling, c.address, c.reason) for c in journal.callers.all()] == [
            ("NEW", "10.0.0.2", "UNKNOWN_CALLER"),
            ("SCANNER", "10.0.0.1", ""),
        ]
        assert journal.callers.count_refused() == 1
        # It was entered among the scanners, and called again.
        door.note("NEW", "EDGETRUCK", "10.0.0.2", "", 103.0)
        door.save()
        journal.callers.note(callers.read(path), 104.0)
        assert journal.callers.count_refused() == 0
        assert len(journal.callers.all()) == 2


def test_each_reason_of_the_door_is_told_with_what_to_do() -> None:
    refusals = {
        Reason.UNKNOWN_CALLER, Reason.OTHER_CALLED_AE, Reason.NOT_SUPPORTED, Reason.TOO_MANY,
        Reason.ORTHANC_UNREACHABLE, Reason.ORTHANC_REFUSED,
    }  # fmt: skip
    assert refusals == set(holds.CALLER_ADVICE)


def test_without_the_doors_file_nobody_has_called(tmp_path: Path) -> None:
    assert callers.read(tmp_path / "none.json") == []


@given(st.lists(st.dictionaries(names, json_values, max_size=8), max_size=3), json_values)
def test_whatever_is_in_the_file_it_is_read_or_left_out(
    rows: list[dict[str, object]], whole: object
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "callers.json"
        for said in ({"callers": rows}, whole):
            path.write_text(json.dumps(said))
            for caller in callers.read(path):
                assert len(caller.calling) <= 64


def test_what_is_remembered_is_bounded(tmp_path: Path) -> None:
    many = [
        callers.Caller(f"FORGED{n}", "EDGETRUCK", "10.0.0.9", float(n), float(n), 0, 1, "X")
        for n in range(1500)
    ]
    with closing(Journal(tmp_path / "journal.db")) as journal:
        journal.callers.note(many, 1500.0)
        known = journal.callers.all()
        assert len(known) == 1000
        assert known[0].calling == "FORGED1499"
