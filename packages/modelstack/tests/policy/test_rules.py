"""Each rule passes what keeps to it and says what breaks it; what is not known yet is no finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from modelstack.policy import tokens
from modelstack.policy.permissions import WITHOUT_RESOURCE
from modelstack.policy.rule import UNKNOWN, Declared, Rule
from modelstack.policy.rules import RULES
from tests.program.test_policies import NO_RESOURCE, WIDER, arns

from .fixtures import BUCKET, COMPOSITE, FIXTURES, PARTS, alarm, config, findings, made

BY_NAME = {rule.name: rule for rule in RULES}
KEEPS = [(name, stack) for name, pair in FIXTURES.items() for stack in pair.kept()]
BREAKS = [(name, *broken) for name, pair in FIXTURES.items() for broken in pair.broken()]


def said(rule: Rule, stack: Sequence[Declared]) -> list[str]:
    return [text for _, text in findings(rule, stack)]


class Unknown(dict[str, Any]):
    def get(self, key: str, default: Any = None) -> Any:
        return UNKNOWN


def test_every_rule_has_a_stack_that_keeps_to_it_and_one_that_breaks_it() -> None:
    assert FIXTURES.keys() == BY_NAME.keys()
    assert all(pair.keeps and pair.breaks for pair in FIXTURES.values())


@pytest.mark.parametrize(("name", "stack"), KEEPS)
def test_what_keeps_to_a_rule_passes(name: str, stack: Sequence[Declared]) -> None:
    assert said(BY_NAME[name], stack) == []


@pytest.mark.parametrize(("name", "stack", "texts"), BREAKS)
def test_what_breaks_a_rule_is_told(name: str, stack: Sequence[Declared], texts: Sequence[str]) -> None:
    assert said(BY_NAME[name], stack) == list(texts)


@pytest.mark.parametrize(("name", "stack"), [(name, stack) for name, stack, _ in BREAKS if tokens.known(stack[0].type)])
def test_what_is_not_known_yet_is_no_finding(name: str, stack: Sequence[Declared]) -> None:
    assert said(BY_NAME[name], [replace(item, values=Unknown()) for item in stack]) == []


def test_what_an_unknown_name_or_item_may_mean_is_no_finding_and_hides_none() -> None:
    assert said(BY_NAME["alarms-tell"], [alarm("loud", alarmActions=[UNKNOWN])]) == []
    quiet = [alarm("quiet", alarmActions=[]), replace(COMPOSITE, values={**COMPOSITE.values, "alarmRule": UNKNOWN})]
    assert said(BY_NAME["alarms-tell"], quiet) == []
    whole = [replace(part, values={**part.values, "bucket": UNKNOWN}) for part in PARTS]
    assert said(BY_NAME["buckets-whole"], [BUCKET, *whole]) == []
    tagged = made(tokens.BUCKET, tags={"owner": UNKNOWN})
    assert said(BY_NAME["owned"], [tagged]) == ["it has no tag 'project'"]


def test_a_shadow_is_watched_and_paid_like_any_variant() -> None:
    copied = {"variantName": "v-2", "instanceType": "ml.m5.large", "initialInstanceCount": 1}
    shadow = config(shadowProductionVariants=[copied])
    assert "no alarm is on the failures of variant v-2" in said(BY_NAME["watched"], [shadow])


def test_only_actions_without_a_narrower_resource_may_have_all_resources() -> None:
    """By AWS's own table, but for those that this project's own policies give a reason for."""
    named = {action for action in WITHOUT_RESOURCE if arns(*action.split(":")) != []}
    assert named == {"cloudwatch:GetMetricData", "cloudwatch:PutMetricData", "sagemaker:ListModelPackages"}
    assert named <= {*NO_RESOURCE, *WIDER}


def test_a_rule_says_everything_that_its_row_needs() -> None:
    for rule in RULES:
        assert rule.requires.endswith(".") and rule.fix.endswith("."), rule.name
        assert rule.control.startswith(("Security Hub ", "NIST AI RMF ", "AWS Well-Architected ")), rule.name
    assert len(BY_NAME) == len(RULES), "a name stands for one rule"
