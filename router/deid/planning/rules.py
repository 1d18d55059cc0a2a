"""The planning rules: what happens to an attribute by Table E.1-1, its options and its object."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pydicom.datadict import dictionary_VR
from pydicom.tag import BaseTag

from router.deid.planning import unlisted
from router.deid.planning.actions import Action, Rule
from router.deid.planning.dictionary import is_overlay_or_curve, is_unknown
from router.deid.standard.e1_1 import TABLE
from router.deid.standard.iod import Need, need
from router.deid.standard.options import Option

if TYPE_CHECKING:
    from router.deid.profile import Profile
    from router.deid.standard.e1_1 import Row

_DATES = frozenset({"DA", "DT"})


@lru_cache(maxsize=8192)
def rule(profile: Profile, number: int, vr: str, kind: str) -> Rule:
    """What happens to an attribute of this tag and VR in an object of the kind (iod.kind_of).

    KEEP of a sequence means that its items are gone through one by one.
    """
    tag = BaseTag(number)
    if tag.is_private:
        return Rule(Action.REMOVE, Action.REMOVE, "private, and not on the allow-list")
    if is_overlay_or_curve(tag):
        return Rule(Action.REMOVE, Action.REMOVE, "an overlay or a curve")
    if is_unknown(tag):
        return Rule(Action.REMOVE, Action.REMOVE, "not in the data dictionary")
    needed = need(tag, kind)
    row = TABLE.get(number)
    if row is None:
        return unlisted.rule(profile, tag, vr, needed)
    known = dictionary_VR(tag)  # a date is a date under whatever VR it was sent
    basic = _basic_action(row, needed, known)
    for option, letter in row.options.items():
        if option in profile.options and (chosen := _optional(known, option, letter)):
            return Rule(chosen, basic, f"Table E.1-1: {letter} by {option}, else {row.basic}")
    return Rule(basic, basic, f"Table E.1-1: {row.basic}")


def _basic_action(row: Row, need: Need | None, vr: str) -> Action:
    """The Basic Profile's action; where the IOD needs more than the letters give, that."""
    choices = row.basic.split("/")
    if row.basic == "U" or (vr == "UI" and "D" in choices):
        return Action.UID
    if row.basic.endswith("U*"):
        return Action.KEEP  # a sequence of references: its UIDs are replaced inside
    if need is Need.VALUE or ("D" in choices and (need is None or choices == ["D"])):
        # The items of a sequence are gone through, and each attribute in them made safe.
        return Action.KEEP if vr == "SQ" and not row.is_code else Action.DUMMY
    if need is Need.PRESENT or (need is None and "Z" in choices):
        return Action.EMPTY
    if need is Need.NOTHING and "X" in choices:
        return Action.REMOVE
    return Action(choices[0])


def _optional(  # noqa: PLR0911  (one line a letter and option)
    vr: str, option: Option, letter: str
) -> Action | None:
    """How an option's letter is carried out; ``None``: it does not apply to this VR."""
    if vr == "UI":
        return None  # a device's UID becomes a pseudonym too: the same one every time
    if vr == "AS":
        return Action.AGE
    if letter == "K":
        # What a person wrote about another person is text, whatever the letter.
        if option is Option.PATIENT_CHARACTERISTICS:
            return Action.TEXT if vr in {"SH", "LO"} else Action.TERM
        return Action.KEEP
    if option is Option.MODIFIED_DATES:
        return Action.SHIFT if vr in _DATES else Action.TIME if vr == "TM" else None
    if vr == "SQ":
        # Of content and graphics each item is gone through; a sequence of letter C that only
        # describes (who asked for what, and why) goes as a whole.
        return None if option is Option.CLEAN_DESCRIPTORS else Action.KEEP
    return Action.TEXT
