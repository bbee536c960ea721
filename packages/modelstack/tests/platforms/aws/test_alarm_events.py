from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelstack.monitoring.alarms.alarm import Alarm, NotAnAlarm, Said
from modelstack.platforms.aws.alarm_events import read, said

PAIRS = [{"value": "endpoint", "name": "EndpointName"}, {"value": "v-b", "name": "VariantName"}]
AT = 1_767_614_400.0  # 2026-01-05T12:00:00Z


def sns(message: object, **more: Any) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"MessageId": "1", "Message": text, **more}}
    return {"Records": [record]}


SIMPLE: dict[str, Any] = {
    "AlarmName": "v-b-p99",
    "AlarmDescription": "slow",
    "AWSAccountId": "000000000000",
    "NewStateValue": "ALARM",
    "OldStateValue": "OK",
    "NewStateReason": "Threshold Crossed: 1 datapoint was greater than the threshold (1000.0).",
    "StateChangeTime": "2026-01-05T12:00:00.000+0000",
    "Region": "US East (N. Virginia)",
    "Trigger": {"MetricName": "ModelLatency", "Namespace": "AWS/SageMaker", "Dimensions": PAIRS, "Period": 60},
}
MATH: dict[str, Any] = {
    **SIMPLE,
    "AlarmName": "v-b-5xx",
    "Trigger": {
        "Period": 10,
        "Metrics": [
            {"Expression": "part / whole", "Id": "rate", "ReturnData": True},
            *[
                {
                    "Id": name,
                    "MetricStat": {
                        "Metric": {"Dimensions": PAIRS, "MetricName": metric, "Namespace": "AWS/SageMaker"},
                        "Period": 10,
                        "Stat": "Sum",
                    },
                    "ReturnData": False,
                }
                for name, metric in (("part", "Invocation5XXErrors"), ("whole", "Invocations"))
            ],
        ],
    },
}


@pytest.mark.parametrize(
    ("event", "name", "metric"),
    [
        (sns(SIMPLE), "v-b-p99", "AWS/SageMaker/ModelLatency"),
        (sns(MATH), "v-b-5xx", "AWS/SageMaker/Invocation5XXErrors"),
        (SIMPLE, "v-b-p99", "AWS/SageMaker/ModelLatency"),
    ],
    ids=["sns", "sns with metric math", "bare message"],
)
def test_an_alarm_is_read_in_every_form_that_it_comes_in(event: object, name: str, metric: str) -> None:
    (alarm,) = read(event)
    assert isinstance(alarm, Alarm)
    assert (alarm.name, alarm.state, alarm.endpoint, alarm.variant) == (name, "ALARM", "endpoint", "v-b")
    assert alarm.metrics[0] == metric
    assert alarm.at == AT
    assert "Threshold Crossed" in alarm.said.text


def test_several_notifications_in_one_delivery_are_all_read() -> None:
    event = {"Records": [*sns(SIMPLE)["Records"], *sns("b rolled back: worse")["Records"], *sns(MATH)["Records"]]}
    assert [type(item) for item in read(event)] == [Alarm, NotAnAlarm, Alarm]


def test_an_alarm_over_two_variants_names_none() -> None:
    other = [{"value": "v-a", "name": "VariantName"}, {"value": "endpoint", "name": "EndpointName"}]
    both = json.loads(json.dumps(MATH))
    both["Trigger"]["Metrics"][2]["MetricStat"]["Metric"]["Dimensions"] = other
    (alarm,) = read(sns(both))
    assert isinstance(alarm, Alarm)
    assert (alarm.endpoint, alarm.variant) == ("endpoint", None)


@pytest.mark.parametrize(
    "event",
    [
        None, 3, "x", [], {}, {"Records": [{}]}, {"Records": [None]}, {"Records": "x"}, sns("not json"), sns("[1]"),
        sns({"other": 1}), {"detail-type": "Scheduled Event"},
    ],
)  # fmt: skip
def test_what_is_no_alarm_says_so(event: object) -> None:
    for item in read(event):
        assert isinstance(item, NotAnAlarm)
        assert item.why


DATED = "Threshold Crossed: 1 datapoint [0.5 (25/11/26 02:53:00)] was greater than the threshold (0.05)."
FILLED = (
    "Threshold Crossed: 1 datapoint was received for 2 periods and 1 missing datapoint was treated as [NonBreaching]."
)


@pytest.mark.parametrize(
    ("data", "threshold", "value", "limit"),
    [
        ('{"recentDatapoints": [0.41234567], "threshold": 0.25}', None, 0.41234567, 0.25),
        ({"recentDatapoints": [0.3], "threshold": 0.25}, 7, 0.3, 0.25),
        ({"recentDatapoints": [0.3, 1], "threshold": 0.25}, 7, None, 0.25),  # nothing says which of them broke it
        (None, 0.25, None, 0.25),
        ("no json", 0.25, None, 0.25),
        ({"recentDatapoints": "x", "threshold": True}, None, None, None),
        ({"recentDatapoints": [None, 10**400, float("nan")]}, None, None, None),
        (None, None, None, None),
    ],
)
def test_the_numbers_come_from_the_data_beside_the_words(
    data: object, threshold: object, value: float | None, limit: float | None
) -> None:
    assert said(FILLED, data, threshold) == Said(FILLED.removesuffix("."), value, limit)


@pytest.mark.parametrize(
    ("words", "value", "threshold", "brief"),
    [
        (DATED, 0.5, 0.05, "value 0.5, threshold 0.05"),
        ("2 datapoints [7.0 (a), 3.0 (b)] were greater than the threshold (5.0).", 7.0, 5.0, "value 7, threshold 5"),
        ("2 datapoints [7.0 (a), 3.0 (b)] crossed.", 7.0, None, "value 7"),
        ("no datapoints were received.", None, None, "no datapoints were received"),
        (
            "arn:aws:cloudwatch:us-east-1:000000000000:alarm:e-burn-fast transitioned to ALARM",
            None,
            None,
            "e-burn-fast transitioned to ALARM",
        ),
    ],
)
def test_where_the_numbers_are_in_the_words_alone_these_are_read_once(
    words: str, value: float | None, threshold: float | None, brief: str
) -> None:
    found = said(words)
    assert (found.value, found.threshold, found.brief) == (value, threshold, brief)


def test_the_data_count_where_the_words_have_numbers_too() -> None:
    data = {"recentDatapoints": [0.75], "threshold": 0.25}
    assert said(DATED, data, comparison="GreaterThanThreshold").brief == "value 0.75, threshold 0.25"


BREACHED = FILLED.replace("NonBreaching", "Breaching")


@pytest.mark.parametrize(
    ("words", "points", "comparison", "value"),
    [
        (FILLED, [0, 2, 1, 0], "GreaterThanThreshold", 1),
        (FILLED, [0, 1], "LessThanOrEqualToThreshold", 0),
        (FILLED, [0, -1, 1], "LessThanThreshold", -1),
        (FILLED, [0, 1], "GreaterThanOrEqualToThreshold", 1),
        (BREACHED, [0], "GreaterThanThreshold", None),  # the missing one fires it
        (BREACHED, [0], None, None),
        (DATED, [0, 0.5, 0], None, 0.5),  # an event tells no comparison, and the words list those that broke it
        (FILLED, [0, 1], "LessThanLowerOrGreaterThanUpperThreshold", None),
    ],
)
def test_the_value_of_an_alarm_that_fires_is_the_newest_that_broke_the_threshold_or_none(
    words: str, points: list[float], comparison: str | None, value: float | None
) -> None:
    assert said(words, {"recentDatapoints": points, "threshold": 0.0}, None, comparison).value == value


def test_a_notification_of_an_alarm_has_its_threshold() -> None:
    message = {**SIMPLE, "NewStateReason": FILLED, "Trigger": {**SIMPLE["Trigger"], "Threshold": 0.25}}
    (notification,) = read(sns(message))
    assert isinstance(notification, Alarm)
    assert notification.said == Said(FILLED.removesuffix("."), None, 0.25)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["Records", "Sns", "Message", "AlarmName", "Trigger", "MetricName", "Metrics", "MetricStat",
                         "Metric", "Dimensions", "name", "StateChangeTime", "NewStateReason"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(values)
def test_no_event_whatever_makes_it_raise(event: object) -> None:
    inside: list[object] = [event, {"AlarmName": "x", "Trigger": event}]
    assert all(isinstance(item, Alarm | NotAnAlarm) for one in inside for item in read(one))
    assert said("x", event, event).text == "x"
    assert said("x", {"recentDatapoints": event, "threshold": event}).text == "x"
