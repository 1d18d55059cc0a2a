"""Routing rules: what each condition sees, which rule takes an image, and what follows."""

from __future__ import annotations

import pytest
from pydicom import uid
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from router.dicom.presentation_intent import presentation_intent
from router.records.copies import Rank, Route
from router.records.study import Priority
from router.rules.routing import Header, Routing, Rule, Term, matches, rank_of
from tests.support import data

PATIENT = data.Patient.made("routing")
MAMMOGRAM = uid.DigitalMammographyXRayImageStorageForProcessing


def image(**values: object) -> Dataset:
    """A header with everything that a rule can ask for."""
    dataset = Dataset()
    dataset.SOPClassUID = uid.CTImageStorage
    dataset.Modality = "CT"
    dataset.StationName = "CT-VAN-3"
    dataset.StudyDescription = "CT Thorax low dose"
    dataset.SeriesDescription = "Lung 1.0 [B60f]"
    dataset.ProtocolName = "LDCT screening"
    dataset.Manufacturer = "Exempla Röntgen"
    dataset.ManufacturerModelName = "Spirale 64"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def header(**values: object) -> Header:
    return Header.of(image(**values), "SCANNER1")


def rule(name: str = "rule", **when: str | tuple[str, ...]) -> Rule:
    return Rule(
        name,
        {Term(term): (p,) if isinstance(p, str) else p for term, p in when.items()},
    )


@pytest.mark.parametrize(
    ("term", "pattern"),
    [
        ("calling_aet", "scanner?"),
        ("modality", "ct"),
        ("station", "CT-VAN-*"),
        ("description", "*thorax*"),
        ("description", "lung *"),
        ("description", "LDCT*"),
        ("study_description", "CT Thorax low dose"),
        ("series_description", "*[B60f]"),
        ("sop_class", "1.2.840.10008.5.1.4.1.1.2"),
        ("sop_class", "ct image storage"),
        ("sop_class", "CTImageStorage"),
        ("sop_class", "1.2.840.10008.5.1.4.1.1.*"),
        ("manufacturer", "*RÖNTGEN"),
        ("model", "spirale ??"),
    ],
)
def test_a_condition_holds(term: str, pattern: str) -> None:
    assert rule(**{term: pattern}).takes(header())


@pytest.mark.parametrize(
    ("term", "pattern"),
    [
        ("calling_aet", "SCANNER"),
        ("modality", "C"),
        ("station", "VAN"),
        ("description", "thorax"),
        ("study_description", "*lung*"),
        ("series_description", "*thorax*"),
        ("series_description", "*[abB]*"),
        ("sop_class", "MR Image Storage"),
        ("sop_class", "1.2.840.10008.5.1.4.1.1.20"),
        ("presentation_intent", "FOR PRESENTATION"),
        ("manufacturer", "Exempla"),
        ("model", "Spirale ?"),
    ],
)
def test_a_condition_does_not_hold(term: str, pattern: str) -> None:
    assert not rule(**{term: pattern}).takes(header())


@pytest.mark.parametrize("term", Term)
def test_what_an_image_does_not_say_is_matched_by_no_pattern(term: Term) -> None:
    assert not Rule("any", {term: ("*",)}).takes(Header.of(Dataset(), ""))


def test_one_pattern_of_a_condition_is_enough_and_every_condition_is_needed() -> None:
    assert rule(modality=("MG", "CT")).takes(header())
    assert rule(modality="CT", station="CT-VAN-3").takes(header())
    assert not rule(modality="CT", station="CT-VAN-4").takes(header())


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("StationName", ["CT-VAN-2", "CT-VAN-3"]), ("StationName", " CT-VAN-3 \0")],
)
def test_every_value_of_an_attribute_is_seen_and_padding_is_not(
    keyword: str, value: object
) -> None:
    assert rule(station="CT-VAN-3").takes(header(**{keyword: value}))


def test_an_attribute_of_another_kind_than_text_says_nothing() -> None:
    dataset = image()
    dataset[0x00081010] = DataElement(0x00081010, "SQ", Sequence([Dataset()]))
    assert not rule(station="*").takes(Header.of(dataset, "SCANNER1"))


def test_letters_are_the_same_however_they_are_composed() -> None:
    composed, decomposed = "Radiologie \u00e0 Gen\u00e8ve", "radiologie a\u0300 gene\u0300ve"
    assert matches(composed, decomposed)
    assert matches(decomposed, composed)


@pytest.mark.parametrize("pattern", ["a.c", "a+", "[ab]", "(a|b)", "^a$", "a\\"])
def test_only_asterisk_and_question_mark_stand_for_others(pattern: str) -> None:
    assert matches(pattern, pattern)
    assert not any(matches(pattern, text) for text in ("abc", "aa", "a", "b"))


@pytest.mark.parametrize(
    ("said", "sop_class", "intent"),
    [
        ("FOR PROCESSING", uid.CTImageStorage, "FOR PROCESSING"),
        ("for presentation ", MAMMOGRAM, "FOR PRESENTATION"),
        (None, MAMMOGRAM, "FOR PROCESSING"),
        ("", uid.DigitalXRayImageStorageForPresentation, "FOR PRESENTATION"),
        (None, uid.CTImageStorage, ""),
    ],
)
def test_the_intent_is_what_the_image_says_and_else_what_its_class_says(
    said: str | None, sop_class: str, intent: str
) -> None:
    dataset = image(SOPClassUID=sop_class)
    if said is not None:
        dataset.PresentationIntentType = said
    assert presentation_intent(dataset) == intent
    assert rank_of(dataset) == (
        Rank.PROCESSING if intent == "FOR PROCESSING" else Rank.PRESENTATION
    )


# --- the order of the rules -----------------------------------------------------------------------

FALLBACK = Rule("fallback", {})
FIRST, SECOND = rule("first", modality="CT"), rule("second", modality=("CT", "MR"))
ROUTING = Routing((FIRST, SECOND), FALLBACK, ("cloud", "research"))


@pytest.mark.parametrize(
    ("modality", "taken_by"), [("CT", FIRST), ("MR", SECOND), ("MG", FALLBACK)]
)
def test_the_first_rule_that_holds_takes_an_image_and_the_fallback_the_rest(
    modality: str, taken_by: Rule
) -> None:
    assert ROUTING.rule_for(header(Modality=modality)) is taken_by


def test_an_explanation_ends_with_the_rule_that_takes_the_image() -> None:
    trials = ROUTING.explain(header(Modality="MR"))
    assert [(trial.rule.name, trial.takes) for trial in trials] == [
        ("first", False),
        ("second", True),
    ]
    (check,) = trials[0].checks
    assert (check.term, check.patterns, check.seen) == (Term.MODALITY, ("CT",), ("MR",))
    assert not check.holds
    assert [trial.rule for trial in ROUTING.explain(header(Modality="MG"))][-1] is FALLBACK


def test_a_route_leads_to_those_of_its_destinations_that_are_there() -> None:
    def route(destinations: tuple[str, ...] | None) -> Route:
        return Route("rule", destinations, Priority.NORMAL, "shipped", None)

    assert ROUTING.destinations_of(route(None)) == ("cloud", "research")
    assert ROUTING.destinations_of(route(("research", "gone"))) == ("research",)
    assert ROUTING.destinations_of(route(("gone",))) == ()


# --- what follows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("priority", "requested", "expected"),
    [
        (Priority.NORMAL, None, Priority.NORMAL),
        (Priority.NORMAL, "STAT", Priority.URGENT),
        (Priority.NORMAL, "high ", Priority.HIGH),
        (Priority.NORMAL, "ROUTINE", Priority.NORMAL),
        (Priority.LOW, None, Priority.LOW),
        (Priority.LOW, "STAT", Priority.URGENT),
        (Priority.URGENT, "HIGH", Priority.URGENT),
        (Priority.URGENT, "LOW", Priority.URGENT),
    ],
)
def test_an_order_can_hasten_an_image_and_not_slow_it_down(
    priority: Priority, requested: str | None, expected: Priority
) -> None:
    seen = header() if requested is None else header(RequestedProcedurePriority=requested)
    assert Rule("rule", {}, priority=priority).route(seen).priority is expected


def test_the_order_s_priority_is_found_in_the_request_attributes_too() -> None:
    item = Dataset()
    item.RequestedProcedurePriority = "STAT"
    seen = header(RequestAttributesSequence=Sequence([Dataset(), item]))
    assert seen.requested is Priority.URGENT


def test_request_attributes_that_are_no_sequence_say_nothing() -> None:
    dataset = image()
    dataset[0x00400275] = DataElement(0x00400275, "LO", ["STAT", "HIGH"])
    assert Header.of(dataset, "").requested is None


def test_a_route_is_what_its_rule_says() -> None:
    chosen = Rule("mine", {}, ("cloud",), Priority.HIGH, "hold", ())
    assert chosen.route(header()) == Route("mine", ("cloud",), Priority.HIGH, "hold", ())


def test_the_conditions_are_met_by_what_a_scanner_sends() -> None:
    mammogram = next(iter(data.mammogram_study("routing", PATIENT, rows=48, columns=39)))
    seen = Header.of(mammogram, "MAMMO").seen
    assert seen[Term.MODALITY] == ("MG",)
    assert seen[Term.PRESENTATION_INTENT] == ("FOR PRESENTATION",)
    assert seen[Term.SOP_CLASS][0] == mammogram.SOPClassUID
