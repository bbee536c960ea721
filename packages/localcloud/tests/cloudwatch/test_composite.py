"""Alarms on alarms."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from localcloud.cloudwatch.composite import parse_rule
from localcloud.cloudwatch.errors import CloudWatchError

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ('ALARM("a")', True),
        ("ALARM(a)", True),
        ("OK(a)", False),
        ("ALARM(arn:aws:cloudwatch:us-east-1:123456789012:alarm:a)", True),
        ('ALARM(a) AND OK("b with \\"quotes\\"")', True),
        ("ALARM(a) AND NOT INSUFFICIENT_DATA(c)", False),
        ("NOT ALARM(a) OR INSUFFICIENT_DATA(c)", True),
        ("ALARM(b) AND ALARM(b) OR ALARM(a)", True),
        ("ALARM(b) AND (ALARM(b) OR ALARM(a))", False),
        ("TRUE", True),
        ("FALSE OR (TRUE AND NOT FALSE)", True),
        ("ALARM(unknown)", False),
    ],
)
def test_rules_hold_as_they_read(rule, holds):
    states = {"a": "ALARM", "b": "OK", 'b with "quotes"': "OK", "c": "INSUFFICIENT_DATA"}
    assert parse_rule(rule).holds(states) is holds


@pytest.mark.parametrize(
    "rule",
    ["", "ALARM", "ALARM()", "ALARM(a", "ALARM(a) OK(b)", "AND", "NOT", "(TRUE", "TRUE)", "MAYBE(a)", "a", "TRUE,"],
)
def test_rules_that_cannot_be_read_are_refused(rule):
    with pytest.raises(CloudWatchError, match="AlarmRule"):
        parse_rule(rule)


rules = st.recursive(
    st.sampled_from(["ALARM(a)", "OK(b)", "TRUE", "FALSE"]),
    lambda inner: st.one_of(
        inner.map(lambda rule: f"NOT ({rule})"),
        st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner).map(lambda three: f"({''.join(three)})"),
    ),
    max_leaves=12,
)


@given(rules, st.booleans(), st.booleans())
def test_rules_agree_with_boolean_algebra(rule, a, b):
    python = rule.replace("ALARM(a)", str(a)).replace("OK(b)", str(b)).replace("TRUE", "True").replace("FALSE", "False")
    python = python.replace("AND", "and").replace("OR", "or").replace("NOT", "not")
    states = {"a": "ALARM" if a else "OK", "b": "OK" if b else "ALARM"}
    assert parse_rule(rule).holds(states) is eval(python)


async def composite(local, rule: str, name: str = "both", **more) -> None:
    await local("PutCompositeAlarm", AlarmName=name, AlarmRule=rule, **more)


def test_a_composite_alarm_follows_its_children_and_acts(tell):
    async def story(local):
        await local.alarm("a", TreatMissingData="notBreaching")
        await local.alarm("b", MetricName="other", TreatMissingData="notBreaching")
        await composite(local, "ALARM(a) AND ALARM(b)", AlarmActions=[TOPIC])
        await local.settle()
        assert await local.state("both") == "OK"
        local.put(5, "errors")
        await local.advance(11)
        assert await local.state("both") == "OK"
        local.put(5, "errors")
        local.put(5, "other")
        await local.advance(10)
        assert await local.state("both") == "ALARM"
        ((_, subject, text, *_),) = local.mail.published
        message = json.loads(text)
        assert subject == 'ALARM: "both" in US East (N. Virginia)'
        assert message["AlarmRule"] == "ALARM(a) AND ALARM(b)"
        assert message["TriggeringChildren"][0]["Arn"].endswith(":alarm:b")
        assert "transitioned to ALARM at Monday 24 November, 2025 16:00:20 UTC" in message["NewStateReason"]
        await local.advance(60)
        assert await local.state("both") == "OK"

    tell(story)


def test_composite_alarms_on_composite_alarms_change_in_one_go(tell):
    async def story(local):
        await local.alarm("a", TreatMissingData="notBreaching")
        await composite(local, "ALARM(a)", "one")
        await composite(local, "ALARM(one)", "two")
        await composite(local, "NOT ALARM(two)", "three")
        await local.settle()
        await local("SetAlarmState", AlarmName="a", StateValue="ALARM", StateReason="drill")
        assert [await local.state(name) for name in ("one", "two", "three")] == ["ALARM", "ALARM", "OK"]
        children = (await local("DescribeAlarms", ChildrenOfAlarmName="two"))["CompositeAlarms"]
        parents = (await local("DescribeAlarms", ParentsOfAlarmName="a"))["CompositeAlarms"]
        assert [alarm["AlarmName"] for alarm in (*children, *parents)] == ["one", "one"]

    tell(story)


def test_a_rule_may_not_ask_about_what_is_not_there_or_about_itself(tell):
    async def story(local):
        await local.alarm("a")
        with pytest.raises(ClientError, match="do not exist: unknown"):
            await composite(local, "ALARM(unknown) OR OK(a)")
        await composite(local, "ALARM(a)", "one")
        await composite(local, "ALARM(one)", "two")
        with pytest.raises(ClientError, match="depend on itself"):
            await composite(local, "OK(two)", "one")
        with pytest.raises(ClientError, match="already the name of a MetricAlarm"):
            await composite(local, "ALARM(one)", "a")
        with pytest.raises(ClientError, match="action suppression"):
            await composite(local, "ALARM(a)", "three", ActionsSuppressor="a")

    tell(story)


def test_what_a_rule_asks_about_cannot_be_deleted(tell):
    async def story(local):
        await local.alarm("a")
        await composite(local, "ALARM(a)", "one")
        with pytest.raises(ClientError, match="'a' cannot be deleted: the rules of one"):
            await local("DeleteAlarms", AlarmNames=["a"])
        await local("DeleteAlarms", AlarmNames=["a", "one"])

    tell(story)


def test_composite_alarms_are_described_only_when_asked_for(tell):
    async def story(local):
        await composite(local, "TRUE")
        answer = await local("DescribeAlarms")
        assert answer["CompositeAlarms"] == []
        (alarm,) = (await local("DescribeAlarms", AlarmTypes=["CompositeAlarm"]))["CompositeAlarms"]
        assert (alarm["StateValue"], alarm["AlarmRule"]) == ("ALARM", "TRUE")

    tell(story)
