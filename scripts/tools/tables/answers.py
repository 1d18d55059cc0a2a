"""What the router does with each answer of a destination: the table of the documents."""

from __future__ import annotations

from router.destinations.statuses import HTTP, STATUSES


def table() -> str:
    """Both tables of answers, as the code has them; the first row that fits counts."""
    rows = ["| answer | says | so | code |", "|---|---|---|---|"]
    for kind, found in (("", STATUSES), ("HTTP ", HTTP)):
        rows += [
            f"| {kind}{row.shown} | {row.source} | {row.meaning} | "
            f"{f'`{row.code}`' if row.code else ''} |"
            for row in found
        ]
    return "\n".join(rows)
