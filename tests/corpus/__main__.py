"""Writes a corpus into a folder: files, and key.json beside them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from tests.corpus.maker import SMALLEST, Corpus


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.corpus", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--files", type=int, default=SMALLEST)
    wanted = parser.parse_args()
    wanted.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for made in Corpus(wanted.seed, wanted.files):
        (wanted.folder / f"{made.name}.dcm").write_bytes(made.file)
        lines.append(
            {
                "file": made.name, "kind": made.kind, "clean": made.clean,
                "verdict": made.verdict, "why": made.why, "traces": made.traces,
                "checks": [[c.shown(), c.action, c.values] for c in made.checks],
            }
        )  # fmt: skip
    (wanted.folder / "key.json").write_text(json.dumps(lines, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
