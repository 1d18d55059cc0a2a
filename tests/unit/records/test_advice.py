"""What held images' advice says to type can be typed: each command of each advice is one of ours."""

from __future__ import annotations

import re

import pytest

from router.__main__ import _parser
from router.operator.decisions import RELEASE_POLICIES
from router.records.holds import ADVICE, NOTE_REFUSED, Advice

#: A command as the advice writes it: what a person fills in is in capital letters.
COMMAND = re.compile(r"edge-router ((?:[a-z-]+)(?: (?:--)?[a-z-]+| [A-Z]+)*)")
EVERY = {**{str(code): advice for code, advice in ADVICE.items()}, "NOTE": NOTE_REFUSED}


@pytest.mark.parametrize("name", EVERY)
def test_every_command_of_an_advice_can_be_typed_as_it_stands(name: str) -> None:
    for words in COMMAND.findall(EVERY[name].do):
        typed = words.split()
        command = typed[: typed.index("WHY") + 1] if "WHY" in typed else typed[:2]
        if command[0] in {"held", "decisions", "revoke"}:
            command = command[:1]  # named in passing: they stand in a sentence
            if command == ["revoke"]:
                continue
        asked = _parser().parse_args(command)
        assert asked.action == command[0]
        assert getattr(asked, "policy", None) in {None, *RELEASE_POLICIES}


def _ways_out(advice: Advice) -> bool:
    told = ("edge-router", "report it", "Send the image", "release", "scard", "Configure", "Ask")
    return any(word in advice.do for word in told)


@pytest.mark.parametrize("name", EVERY)
def test_every_advice_says_something_that_a_person_can_do(name: str) -> None:
    assert _ways_out(EVERY[name])
