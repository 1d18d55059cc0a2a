"""For any rules and any header: exactly one rule takes it, and it is the first that holds."""

from __future__ import annotations

import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from router.records.study import Priority
from router.rules.routing import Header, Routing, Rule, Term, matches

_LETTERS = "AaBb[]ß"
_TEXTS = st.text(_LETTERS, min_size=1, max_size=4)
_PATTERNS = st.text(_LETTERS + "*?", min_size=1, max_size=4)
_TERMS = st.sampled_from(Term)
_CONDITIONS = st.dictionaries(
    _TERMS, st.lists(_PATTERNS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3
)
_HEADERS = st.builds(
    Header,
    st.dictionaries(_TERMS, st.lists(_TEXTS, max_size=2).map(tuple), max_size=len(Term)),
    st.sampled_from([None, *Priority]),
)


@st.composite
def _routings(draw: st.DrawFn) -> Routing:
    conditions = draw(st.lists(_CONDITIONS, max_size=6))
    rules = [
        Rule(str(n), when, priority=draw(st.sampled_from(Priority)))
        for n, when in enumerate(conditions)
    ]
    return Routing(tuple(rules), Rule("fallback", {}), ("cloud",))


@given(_routings(), _HEADERS)
def test_exactly_one_rule_takes_any_image_and_it_is_the_first_that_holds(
    routing: Routing, header: Header
) -> None:
    taker = routing.rule_for(header)
    holding = [rule for rule in routing.rules if rule.takes(header)]
    assert taker is (holding[0] if holding else routing.fallback)
    trials = routing.explain(header)
    assert [trial.takes for trial in trials] == [False] * (len(trials) - 1) + [True]
    assert trials[-1].rule is taker
    for trial in trials:
        assert trial.takes == all(check.holds for check in trial.checks)


@given(_routings(), _HEADERS)
def test_a_rule_behind_the_one_that_takes_an_image_changes_nothing(
    routing: Routing, header: Header
) -> None:
    taker = routing.rule_for(header)
    if taker is routing.fallback:
        return
    kept = routing.rules[: routing.rules.index(taker) + 1]
    assert Routing(kept, routing.fallback, ("cloud",)).rule_for(header) is taker


@given(_routings(), _HEADERS)
def test_no_image_is_less_urgent_than_its_rule_or_its_order_says(
    routing: Routing, header: Header
) -> None:
    rule = routing.rule_for(header)
    priority = rule.route(header).priority
    assert priority in {rule.priority, header.requested}
    assert priority >= rule.priority
    assert header.requested is None or priority >= header.requested


@given(_PATTERNS.filter(lambda p: "[" not in p), _TEXTS)
def test_patterns_are_shell_patterns_without_case_and_sets(pattern: str, text: str) -> None:
    assert matches(pattern, text) == fnmatch.fnmatchcase(text.casefold(), pattern.casefold())


@given(_TEXTS)
def test_a_text_matches_itself(text: str) -> None:
    assert matches(text, text)
    assert matches(text.upper(), text)
