"""What can happen to an attribute, and why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Action(StrEnum):
    """What happens to an attribute."""

    REMOVE = "X"
    EMPTY = "Z"
    DUMMY = "D"
    UID = "U"
    KEEP = "K"
    # How an attribute of letter C is cleaned. What cannot be cleaned falls back (Rule.fallback).
    SHIFT = "shift"  # a date: moved by the patient's whole weeks
    TIME = "time"  # a time of day: kept where it is one
    AGE = "age"  # kept; from 90 years on 090Y
    TERM = "term"  # kept where it is one of the standard's terms, or a number
    TEXT = "text"  # kept where each word is of the vocabulary


@dataclass(frozen=True)
class Rule:
    """What happens to one attribute, and why."""

    action: Action
    #: What happens to a value that the action cannot make safe.
    fallback: Action
    #: For people: the row and the option, or the rule where the table is silent.
    why: str
