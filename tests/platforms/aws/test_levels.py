"""Which alarms ring, as CloudWatch has them now, and what a scheduled tick makes of that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platforms.aws.handlers import advance
from platforms.aws.levels import CloudWatchAlarms
from rollout.core.state import Phase
from tests.platforms.aws.mocked import clients
from tests.platforms.aws.stubbed_endpoint import Endpoint, an_endpoint, journal


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    with an_endpoint(monkeypatch) as made:
        yield made


def alarm(variant: str, measure: str = "5xx", state: str = "ALARM") -> None:
    """An alarm as the stack declares it, in a state."""
    place = [{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": variant}]
    queries: list[Any] = [
        {"Id": key, "ReturnData": False, "MetricStat": {
            "Metric": {"Namespace": "AWS/SageMaker", "MetricName": metric, "Dimensions": place},
            "Period": 60, "Stat": "Sum",
        }}
        for key, metric in (("part", "Invocation5XXErrors"), ("whole", "Invocations"))
    ]  # fmt: skip
    name, cloudwatch = f"endpoint-{variant}-{measure}", clients()("cloudwatch")
    cloudwatch.put_metric_alarm(
        AlarmName=name, ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=0.05,
        Metrics=[*queries, {"Id": "rate", "Expression": "part / whole", "ReturnData": True}],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="Threshold Crossed: 0.5 > 0.05")


def count(variant: str, requests: int, failed: int) -> None:
    """Requests of a variant in the last whole minute."""
    at = datetime.fromtimestamp(time.time() // 60 * 60 - 60, UTC)
    place = [{"Name": "EndpointName", "Value": "endpoint"}, {"Name": "VariantName", "Value": variant}]
    clients()("cloudwatch").put_metric_data(
        Namespace="AWS/SageMaker",
        MetricData=[
            {"MetricName": name, "Dimensions": place, "Value": value, "Timestamp": at + timedelta(seconds=1)}
            for name, value in (("Invocations", requests), ("Invocation5XXErrors", failed))
        ],
    )


def test_the_alarms_on_the_answers_of_both_versions_are_read_and_no_others(endpoint: Endpoint) -> None:
    for variant, measure in (("v-b", "5xx"), ("v-b", "drift"), ("v-a", "p99"), ("v-c", "5xx")):
        alarm(variant, measure)
    alarm("v-b", "p99", "OK")
    found = CloudWatchAlarms(clients(), "endpoint").ringing(journal().read())
    assert {(item.variant, item.reason.name) for item in found} == {
        ("v-b", "endpoint-v-b-5xx"), ("v-a", "endpoint-v-a-p99"),
    }  # fmt: skip
    assert all(abs(item.since - time.time()) < 3600 for item in found), "epoch seconds"
    assert found[0].reason.text.endswith("0.5 > 0.05")


def test_a_scheduled_tick_takes_back_a_challenger_whose_alarm_rings_though_no_message_came(endpoint: Endpoint) -> None:
    alarm("v-b")
    advance.handler({}, None)
    state = journal().read()
    assert endpoint.calls == ["weights", "approval", "config"]
    assert state.verdict is not None
    assert (state.phase, state.verdict.reason.name) == (Phase.IDLE, "endpoint-v-b-5xx")


def test_an_outage_that_both_share_is_left_to_the_judge_as_long_as_it_lasts(endpoint: Endpoint) -> None:
    alarm("v-b")
    alarm("v-a")
    journal().write(replace(journal().read(), started_at=time.time() - 600))
    count("v-b", 20, 10)
    count("v-a", 180, 95)
    ringing = CloudWatchAlarms(clients(), "endpoint").ringing(journal().read())
    assert [item.variant for item in ringing] == ["v-a"]
    later = CloudWatchAlarms(clients(), "endpoint", now=lambda: time.time() + 3600)  # nobody fails any more
    assert {item.variant for item in later.ringing(journal().read())} == {"v-a", "v-b"}
