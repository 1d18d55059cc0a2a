"""Everything in this folder needs real Orthancs."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "integration" in item.nodeid or "contract" in item.nodeid:
            item.add_marker(pytest.mark.integration)
