"""Which alarms fire and what they count, as CloudWatch has them now, and what a scheduled tick makes of that."""

from __future__ import annotations

import time

import pytest

from modelstack.platforms.aws.alarm_states import CloudWatchAlarms
from modelstack.platforms.aws.handlers import advance
from modelstack.rollout.core.state import Phase
from modelstack.services.counters import ShareRule
from tests.platforms.aws.mocked import clients
from tests.platforms.aws.stubbed_endpoint import Endpoint, journal, put_alarm


def test_the_alarms_on_the_answers_of_both_versions_are_read_and_no_others(endpoint: Endpoint) -> None:
    for variant, measure in (("v-b", "5xx"), ("v-b", "drift"), ("v-a", "p99"), ("v-c", "5xx")):
        put_alarm(variant, measure)
    put_alarm("v-b", "p99", "OK")
    found = CloudWatchAlarms(clients(), "endpoint", lambda: 12.5).firing(["v-a", "v-b"])
    assert {(item.alarm.variant, item.alarm.name, item.alarm.measure) for item in found} == {
        ("v-b", "endpoint-v-b-5xx", "errors"), ("v-a", "endpoint-v-a-p99", "latency"),
    }  # fmt: skip
    assert all(abs((item.alarm.at or 0) - time.time()) < 3600 for item in found), "epoch seconds"
    assert all(item.alarm.said.text.endswith("0.5 > 0.05") for item in found)
    assert {item.evaluated for item in found} == {12.5}


def test_a_scheduled_tick_takes_back_a_challenger_whose_alarm_fires_though_no_message_came(endpoint: Endpoint) -> None:
    put_alarm("v-b")
    advance.handler({}, None)
    state = journal().read()
    assert endpoint.calls == ["weights", "approval", "config"]
    assert state.verdict is not None
    assert (state.phase, state.verdict.reason.name) == (Phase.IDLE, "endpoint-v-b-5xx")


@pytest.mark.parametrize(("period", "step"), [(10, 10), (30, 10), (60, 60), (300, 60)])
def test_what_an_alarm_counts_is_read_at_the_grain_at_which_cloudwatch_evaluates(
    endpoint: Endpoint, period: int, step: int
) -> None:
    put_alarm("v-b", period=period)
    put_alarm("v-a", "p99", "OK", part=("ModelLatency", "TC(250000:)"))
    rule = ShareRule(0.05, 3 * period, step, None, fires=True)
    assert CloudWatchAlarms(clients(), "endpoint").rules(["endpoint-v-b-5xx", "endpoint-v-a-p99", "none"]) == {
        "endpoint-v-b-5xx": rule,
        "endpoint-v-a-p99": ShareRule(0.05, 180, 60, 250_000.0, fires=False),
    }


def test_an_alarm_of_another_form_counts_no_share(endpoint: Endpoint) -> None:
    clients()("cloudwatch").put_metric_alarm(
        AlarmName="endpoint-v-b-5xx", Namespace="AWS/SageMaker", MetricName="Invocations", Statistic="Sum", Period=60,
        ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=1,
    )  # fmt: skip
    assert CloudWatchAlarms(clients(), "endpoint").rules(["endpoint-v-b-5xx"]) == {}
