"""The generated parts of the documents are those of the code."""

from __future__ import annotations

import pytest

from tools import document
from tools.tables import settings


@pytest.mark.parametrize("name", document.PARTS)
def test_a_document_is_current(name: str) -> None:
    text = (document.ROOT / name).read_text(encoding="utf-8")
    assert document.current(text, document.PARTS[name]) == text


def test_every_setting_has_a_meaning() -> None:
    assert "None" not in settings.table()


def test_a_missing_marker_is_said() -> None:
    with pytest.raises(ValueError, match="states"):
        document.current("no markers", {"states": document.state_table})


def test_each_word_of_the_glossary_is_where_it_says() -> None:
    text = (document.ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in text.splitlines() if row.startswith("| ")][1:]
    places = {place.strip().strip("`") for *_, place, _ in rows}
    folders = (document.ROOT / "router", document.ROOT)
    lost = {
        place
        for place in places
        if not any((f / place).is_dir() or (f / f"{place}.py").is_file() for f in folders)
    }
    assert lost == set()
    assert len(rows) >= 30
