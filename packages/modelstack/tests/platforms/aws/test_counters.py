"""Counts from what CloudWatch says. What every platform's counters promise:
packages/modelstack/tests/platform_contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from modelstack.platforms.aws.counters import CloudWatchCounters, Found, Series, TallySource
from modelstack.rollout.core.errors import RolloutError
from modelstack.rollout.judge.metrics import Kind, Metric, Tally
from modelstack.services.counters import CountQuery
from tests.platforms.aws.mocked import lead_to_mocks

QUERY = CountQuery(("v-a",), 0, 120, 60)


@pytest.mark.parametrize(
    ("kind", "values", "tally"),
    [
        ("mean", (4.0, 40.0, 500.0), Tally(4, 40.0, 500.0)),
        ("rate", (4.0, 3.0), Tally(4, 3.0)),
        ("quantile", (40.0, 90.0), Tally(40, 4)),
        ("quantile", (40.0, 0.0), Tally(40, 40)),
        (None, (40.0, 1.0, 0.0), Tally(40, 1)),
        (None, (9.0, 4.0, 7.0), Tally(9, 9)),
    ],
)
def test_a_tally_is_known_only_when_each_of_its_series_is(
    kind: Kind | None, values: tuple[float, ...], tally: Tally
) -> None:
    """Neither are requests without the series of failures sound, nor answers without the share of fast ones slow."""
    series = tuple(Series(str(number), "Sum", "v-a") for number, _ in enumerate(values))
    source, found = (
        TallySource("it", kind, series),
        {(each, 60): value for each, value in zip(series, values, strict=True)},
    )
    assert source.tally(found, 60) == tally
    for missing in series:
        assert source.tally({each: value for each, value in found.items() if each[0] != missing}, 60) is None


class Cloud:
    """An endpoint that captures a share of its answers."""

    def __init__(self, capture: Mapping[str, Any]) -> None:
        self.capture = capture

    def __call__(self, _: str) -> Any:
        return self

    def describe_endpoint(self, **_: str) -> dict[str, Any]:
        return {"DataCaptureConfig": self.capture}


def capturing(percent: int, *, on: bool = True) -> dict[str, Any]:
    return {"EnableCapture": on, "CurrentSamplingPercentage": percent}


@pytest.mark.parametrize(
    ("capture", "share"),
    [(capturing(100), 1.0), (capturing(10), 0.1), (capturing(100, on=False), 0.0), ({}, 0.0)],
    ids=["all", "a tenth", "off", "never"],
)
def test_the_share_of_captured_answers_is_that_of_the_endpoint(capture: Mapping[str, Any], share: float) -> None:
    assert CloudWatchCounters(Cloud(capture), "e").captured() == share


@pytest.fixture
def cloudwatch(monkeypatch: pytest.MonkeyPatch) -> Any:
    lead_to_mocks(monkeypatch)
    return boto3.client("cloudwatch", region_name="us-east-1")


def test_metrics_that_cannot_be_read_are_an_error_with_the_reason(cloudwatch: Any) -> None:
    with Stubber(cloudwatch) as stubber:
        stubber.add_client_error("get_metric_data", "AccessDenied", "not authorized", 403)
        stubber.add_client_error("get_metric_data", "Throttling", "Rate exceeded", 400)
        result = {"Id": "q0", "Timestamps": [], "Values": [], "StatusCode": "Forbidden"}
        stubber.add_response("get_metric_data", {"MetricDataResults": [result]})
        for words in ("not authorized", "Rate exceeded", "CloudWatch says Forbidden"):
            with pytest.raises(RolloutError, match=words):
                CloudWatchCounters(lambda _: cloudwatch, "endpoint").counts(QUERY)


def test_metrics_on_several_pages_are_put_together(cloudwatch: Any) -> None:
    with Stubber(cloudwatch) as stubber:
        for token, minute, status in (("more", 0, "PartialData"), (None, 60, "Complete")):
            at = datetime.fromtimestamp(minute, UTC)
            page: dict[str, Any] = {
                "MetricDataResults": [
                    {"Id": name, "Timestamps": [at], "Values": [value], "StatusCode": status}
                    for name, value in (("q0", 9.0), ("q1", 0.0), ("q2", 0.0), ("q3", 9.0), ("q4", 9.0))
                ]
            }
            stubber.add_response("get_metric_data", {**page, **({"NextToken": token} if token else {})})
        windows = CloudWatchCounters(lambda _: cloudwatch, "endpoint").counts(QUERY)
    assert [window.of("v-a")["errors"] for window in windows] == [Tally(9), Tally(9)]


class Reported(CloudWatchCounters):
    """Counters of an endpoint with known requests and reports of failures in each minute."""

    def fetch(self, wanted: Iterable[Series], span: tuple[int, int], period: int) -> Found:
        data: Mapping[str, Sequence[float]] = self.clients("cloudwatch")
        known = {(name, stat): data.get(key, ()) for (name, stat), key in _KEYS.items()}
        every = [(series, known[series.metric, series.stat]) for series in wanted]
        return {(series, 60 * at): value for series, values in every for at, value in enumerate(values)}


_KEYS = {
    ("Invocations", "Sum"): "requests",
    ("Invocation4XXErrors", "Sum"): "none",
    ("Invocation4XXErrors", "SampleCount"): "requests",
    ("Invocation5XXErrors", "Sum"): "failed",
    ("Invocation5XXErrors", "SampleCount"): "reports",
    ("Fraud", "SampleCount"): "values",
    ("Fraud", "Sum"): "bad",
}


def closed(requests: Sequence[float], reports: Sequence[float]) -> list[bool]:
    """Which windows of a minute are closed."""
    none = [0.0] * len(requests)
    data = {"requests": requests, "reports": reports, "failed": none, "none": none}
    query = CountQuery(("v-a",), 0, 60 * len(requests), 60)
    return [window.closed for window in Reported(lambda _: data, "e").counts(query)]


def test_a_window_without_the_report_of_each_answer_is_open_and_so_is_every_later_one() -> None:
    assert closed([50, 50, 50, 50], [50, 50, 50, 50]) == [True] * 4
    assert closed([50, 50, 50, 50], [50, 49, 50, 48]) == [True, False, False, False]
    assert closed([50, 50, 50], [0, 0, 0]) == [False] * 3
    assert closed([0, 0, 0], [0, 0, 0]) == [True] * 3


def test_a_report_in_the_next_window_makes_up_for_one_that_its_own_lacks() -> None:
    assert closed([50, 50, 50, 50], [49, 51, 48, 52]) == [True] * 4
    assert closed([50, 50, 50, 50], [49, 50, 51, 49]) == [True, True, True, False]


def test_one_report_in_a_thousand_may_never_come() -> None:
    assert closed([500, 500, 500], [499, 500, 500]) == [True] * 3
    assert closed([500, 500, 500], [498, 500, 500]) == [False] * 3


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 5)), min_size=1, max_size=12), st.integers(0, 11))
def test_late_reports_of_failures_never_count_as_answers_without_failures(
    minutes: list[tuple[int, int]], reported: int
) -> None:
    """Whatever was reported late, no window closes whose own reports are neither there nor made up for."""
    requests = [float(count) for count, _ in minutes]
    reports = [count - (late if at >= reported else 0.0) for at, (count, late) in enumerate(minutes)]
    lacking = [at for at, (count, there) in enumerate(zip(requests, reports, strict=True)) if there < count]
    seen = closed(requests, reports)
    if sum(requests) < 1000:
        assert seen == [at < min(lacking, default=len(requests)) for at in range(len(requests))]


FRAUD = Metric("fraud", "rate", 0.02, namespace="Shop", metric="Fraud")


def counted(requests: Sequence[float], values: Sequence[float], bad: Sequence[float]) -> list[int]:
    """How many values of a custom metric count in each minute."""
    none = [0.0] * len(requests)
    data = {"requests": requests, "reports": requests, "failed": none, "none": none, "values": values, "bad": bad}
    query = CountQuery(("v-a",), 0, 60 * len(requests), 60, metrics=(FRAUD,), rollout_id="1-b")
    windows = Reported(lambda _: data, "e").counts(query)
    assert all(window.closed for window in windows), "requests wait for no custom metric"
    return [window.of("v-a").get("fraud", Tally()).count for window in windows]


def test_a_custom_metric_of_every_request_counts_only_up_to_the_first_window_that_lacks_values() -> None:
    requests, none = [50.0] * 6, [0.0] * 6
    assert counted(requests, requests, none) == [50] * 6
    assert counted(requests, [50, 50, 50, 50, 48, 45], none) == [50, 50, 50, 50, 0, 0], "bad ones may be late"
    assert counted(requests, [50, 50, 50, 50, 48, 52], none) == [50, 50, 50, 50, 48, 52]
    sampled = [5.0, 7, 4, 6, 5, 1]
    assert counted(requests, sampled, none) == sampled, "nothing says how many values are due"
    assert counted(requests, [100.0] * 5 + [90], none) == [100] * 5 + [90]


def test_an_earlier_minute_without_a_data_point_had_no_request_and_the_newest_is_unknown() -> None:
    class Sparse(Reported):
        def fetch(self, wanted: Iterable[Series], span: tuple[int, int], period: int) -> Found:
            found = super().fetch(wanted, span, period)
            return {key: value for key, value in found.items() if key[1] not in {60, 180}}

    data = {"requests": [50.0] * 4, "reports": [50.0] * 4, "failed": [0.0] * 4, "none": [0.0] * 4}
    windows = Sparse(lambda _: data, "e").counts(CountQuery(("v-a",), 0, 240, 60))
    assert [window.of("v-a").get("errors") for window in windows] == [Tally(50), Tally(0), Tally(50), None]
