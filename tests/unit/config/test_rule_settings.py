"""The rules in the settings: what is told of each fault, and what is made of good ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from router.config.rule_settings import When
from router.config.settings import Settings
from router.records.errors import Code, SettingsError
from router.records.study import Priority
from router.rules.routing import Term

if TYPE_CHECKING:
    from collections.abc import Callable

    from router.rules.routing import Routing

BASE = """
[truck]
id = "TRUCK1"
[orthanc]
url = "http://truck-orthanc:8042"
password_file = "password"
[deid]
key_files = ["key"]
[[destinations]]
kind = "stow"
name = "cloud"
url = "https://cloud/dicom-web"
[[destinations]]
kind = "stow"
name = "research"
url = "https://research/dicom-web"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], Routing]:
    def write_and_load(text: str) -> Routing:
        path = tmp_path / "config.toml"
        path.write_text(BASE + text, encoding="utf-8")
        return Settings.load(path).routing

    return write_and_load


def test_without_rules_everything_goes_everywhere(load: Callable[[str], Routing]) -> None:
    routing = load("")
    fallback = routing.fallback
    assert (routing.rules, routing.destinations) == ((), ("cloud", "research"))
    assert (fallback.name, fallback.when, fallback.destinations) == ("fallback", {}, None)
    assert (fallback.priority, fallback.policy) == (Priority.NORMAL, "shipped")
    assert fallback.analyses is None


def test_rules_keep_their_order_and_what_they_say(load: Callable[[str], Routing]) -> None:
    routing = load("""
[[rules]]
name = "stroke"
when = { modality = "CT", description = ["*stroke*", "*angio*"], calling_aet = "CT?" }
priority = "urgent"
[[rules]]
name = "raw-mammograms"
when = { presentation_intent = "for processing", sop_class = "Digital Mammography*" }
destinations = "research"
priority = "low"
policy = "hold"
analyses = []
[fallback]
destinations = ["cloud"]
analyses = ["density-kmeans"]
""")
    stroke, raw = routing.rules
    assert stroke.when == {
        Term.CALLING_AET: ("CT?",),
        Term.MODALITY: ("CT",),
        Term.DESCRIPTION: ("*stroke*", "*angio*"),
    }
    assert (stroke.name, stroke.priority, stroke.destinations) == ("stroke", Priority.URGENT, None)
    assert raw.when[Term.PRESENTATION_INTENT] == ("FOR PROCESSING",)
    assert (raw.destinations, raw.priority) == (("research",), Priority.LOW)
    assert (raw.policy, raw.analyses) == ("hold", ())
    assert routing.fallback.destinations == ("cloud",)
    assert routing.fallback.analyses == ("density-kmeans",)


def test_every_term_can_be_asked_for_in_the_settings() -> None:
    assert set(When.model_fields) == {term.value for term in Term}


CT = 'when = { modality = "CT" }'


@pytest.mark.parametrize(
    ("rule", "place", "told"),
    [
        ('name = "a"', "rules.0.when", "Field required"),
        ('name = "a"\nwhen = {}', "rules.0.when", "needs a condition"),
        ('name = "a"\nwhen = { modality = [] }', "rules.0.when.modality", "at least 1 item"),
        ('name = "a"\nwhen = { modality = "" }', "rules.0.when.modality.0", "at least 1 char"),
        ('name = "a"\nwhen = { station = " x" }', "rules.0.when.station.0", "match pattern"),
        ('name = "a"\nwhen = { modality = "M.G" }', "rules.0.when.modality", "can be no modality"),
        (
            'name = "a"\nwhen = { calling_aet = "A_NAME_TOO_LONG_1" }',
            "rules.0.when.calling_aet",
            "longer than an AE title",
        ),
        (
            'name = "a"\nwhen = { sop_class = "CT Image Storge" }',
            "rules.0.when.sop_class",
            "neither a UID nor the name",
        ),
        (
            'name = "a"\nwhen = { presentation_intent = "RAW" }',
            "rules.0.when.presentation_intent.0",
            "FOR PRESENTATION",
        ),
        ('name = "a"\nwhen = { modalty = "CT" }', "rules.0.when.modalty", "not permitted"),
        (f'name = "A B"\n{CT}', "rules.0.name", "match pattern"),
        (f'name = "a"\n{CT}\npriority = "stat"', "rules.0.priority", "'urgent'"),
        (f'name = "a"\n{CT}\ndestinations = []', "rules.0.destinations", 'policy = "hold"'),
        (
            f'name = "a"\n{CT}\ndestinations = ["cloud", "cloud"]',
            "rules.0.destinations",
            "the same destination twice",
        ),
        (
            f'name = "a"\n{CT}\ndestinations = ["clodu"]',
            "",
            "a names the destination 'clodu'; there are cloud, research",
        ),
        (f'name = "a"\n{CT}\npolicy = "none"', "rules.0.policy", "there are hold, shipped"),
        (f'name = "a"\n{CT}\npolicy = "pixels-checked"', "rules.0.policy", "no policy"),
        (f'name = "a"\n{CT}\nanalyses = ["x"]', "rules.0.analyses", "there are density-kmeans"),
        (
            f'name = "a"\n{CT}\n[[rules]]\nname = "a"\nwhen = {{ modality = "MR" }}',
            "",
            "two rules are called a",
        ),
        (f'name = "fallback"\n{CT}', "", "two rules are called fallback"),
        (
            f'name = "a"\n{CT}\n[[rules]]\nname = "b"\n{CT}',
            "",
            "b can take nothing: a asks the same",
        ),
        (
            f'name = "a"\n{CT}\n[fallback]\ndestinations = ["gone"]',
            "",
            "fallback names the destination 'gone'",
        ),
        (f'name = "a"\n{CT}\n[fallback]\n{CT}', "fallback.when", "not permitted"),
    ],
)
def test_a_fault_is_told_with_its_place(
    load: Callable[[str], Routing], rule: str, place: str, told: str
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(f"[[rules]]\n{rule}\n")
    assert raised.value.code is Code.SETTINGS_INVALID
    (fault,) = raised.value.sentence.splitlines()[1:]
    assert fault.strip().startswith(f"{place}:")
    assert told in fault


@pytest.mark.parametrize("name", ["1.2.840.113619.4.30", "MR Image Storage", "*Mammography*"])
def test_a_sop_class_can_be_named_in_each_way(load: Callable[[str], Routing], name: str) -> None:
    (rule,) = load(f'[[rules]]\nname = "a"\nwhen = {{ sop_class = "{name}" }}').rules
    assert rule.when == {Term.SOP_CLASS: (name,)}


def test_the_rules_of_the_documents_are_rules(load: Callable[[str], Routing]) -> None:
    text = (Path(__file__).parents[3] / "docs" / "operations.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("## Routing rules")
    example = rest.split("```toml\n")[1].split("```")[0]
    routing = load(example)
    assert [rule.name for rule in routing.rules] == [
        "stroke",
        "raw-mammograms",
        "loan-scanner",
    ]
    assert routing.fallback.destinations == ("cloud",)
