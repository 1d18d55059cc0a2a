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
