"""An exemption lets one finding pass, for a time and for a reason; a wrong one is refused with what is wrong."""

from __future__ import annotations

import re
from datetime import date, timedelta
from pathlib import Path

import pytest
import yaml

from modelstack.policy.exemptions import ExemptionError, Judgement, read
from modelstack.policy.rule import Declared
from modelstack.policy.rules import RULES

from .fixtures import config, made

TODAY = date(2026, 11, 28)
NAMES = [rule.name for rule in RULES]
FILE = Path(__file__).resolve().parents[4] / "policy" / "exemptions.yaml"
(PRICED,) = [rule for rule in RULES if rule.name == "priced"]
GOOD = {
    "rule": "priced",
    "resources": ["solo-*"],
    "stacks": ["dev"],
    "reason": "A type that\n  is new.",
    "until": date(2027, 1, 31),
    "who": "maintainers",
}


def text(*entries: object) -> str:
    return yaml.safe_dump(list(entries))


def told(resource: Declared, today: date = TODAY, **changed: object) -> tuple[list[str], list[str]]:
    """The violations of a resource, and the used exemptions."""
    judgement = Judgement(read(text(GOOD | changed), NAMES, TODAY), today)
    reported = [said for said, _ in judgement.told(PRICED, [(resource, "it is dear")])]
    return reported, list(judgement.used())


def test_an_exempt_finding_stops_nothing_and_its_reason_is_told_once_if_anything_needs_it() -> None:
    ended = GOOD | {"until": date(2026, 1, 1)}
    judgement = Judgement(read(text(GOOD, ended), NAMES, TODAY), TODAY)
    assert list(judgement.used()) == []
    for name in ("solo-b", "solo-a"):
        assert list(judgement.told(PRICED, [(config(name), "it is dear")])) == [], "the longer one of two counts"
    assert list(judgement.used()) == [
        "priced is not asked of solo-a, solo-b until 2027-01-31 (maintainers): A type that is new."
    ]


def test_another_resource_stack_or_rule_is_not_exempt() -> None:
    for resource in (config("pair-a"), config("solo-a", stack="prod")):
        reported, used = told(resource)
        assert reported == [f"{resource.name}: it is dear. Write its price into modelstack/policy/prices.json."]
        assert used == []
    assert told(config("solo-a"), rule="signed")[0] != []


def test_the_last_day_counts_and_the_day_after_does_not() -> None:
    last = date(2027, 1, 31)
    assert told(config("solo-a"), last)[0] == []
    reported, used = told(config("solo-a"), last + timedelta(days=1))
    assert reported == [
        "solo-a: it is dear. Write its price into modelstack/policy/prices.json. "
        "Its exemption in policy/exemptions.yaml ended on 2027-01-31: A type that is new."
    ]
    assert used == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rule": "price"}, "there is no rule 'price'; did you mean priced?"),
        ({"rule": "zzz"}, "there is no rule 'zzz'; there are own-key, encrypted"),
        ({"until": date(2028, 1, 1)}, "until is 2028-01-01, and an exemption counts for a year at most"),
        ({"until": "soon"}, "until is 'soon', and is to be a day such as 2026-11-28"),
        ({"reason": " "}, "reason is ' ', and is to be a text"),
        ({"who": 7}, "who is 7, and is to be a text"),
        ({"resources": "solo-*"}, "resources is 'solo-*', and is to be a list of names or patterns"),
        ({"stacks": []}, "stacks is [], and is to be a list of names or patterns"),
        ({"ticket": "A-1"}, "there is no field 'ticket'; each entry has rule, resources, stacks, reason, until, who"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_field_and_value(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ExemptionError, match=re.escape(f"policy/exemptions.yaml, entry 2: {message}")):
        read(text(GOOD, GOOD | changed), NAMES, TODAY)


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_field_is_named(name: str) -> None:
    entry = {key: value for key, value in GOOD.items() if key != name}
    with pytest.raises(ExemptionError, match=f"entry 1: the field {name} is missing"):
        read(text(entry), NAMES, TODAY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "is not YAML"),
        ("a: 1", "is dict, and is to be a list"),
        ("[1]", "entry 1 is 1, and is to hold the fields"),
    ],
)
def test_a_file_of_another_form_is_refused_and_an_empty_one_or_our_own_is_not(content: str, message: str) -> None:
    with pytest.raises(ExemptionError, match=message):
        read(content, NAMES, TODAY)
    assert read("# none\n", NAMES, TODAY) == ()
    assert read(FILE.read_text(), NAMES, TODAY)


def test_the_name_that_a_pattern_meets_is_the_logical_one_and_not_the_whole_urn() -> None:
    (exemption,) = read(text(GOOD | {"resources": ["dev*"]}), NAMES, TODAY)
    assert not exemption.covers("priced", made("aws:s3/bucket:Bucket", "solo-a"))
