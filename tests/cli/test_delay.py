"""What `modelstack status` says of how late captures and labels are counted."""

from __future__ import annotations

from typing import Any

import pytest

from cli.target import Target
from cli.view.delay import line, read

TARGET = Target(stack="prod", endpoint="flight-delay-prod", region="us-east-1", outputs={})


class CloudWatch:
    """Has the delays of some minutes, newest first."""

    def __init__(self, *values: float) -> None:
        self.values = list(values)

    def get_metric_data(self, MetricDataQueries: list[dict[str, Any]], **asked: Any) -> dict[str, Any]:
        (query,) = MetricDataQueries
        metric = query["MetricStat"]["Metric"]
        assert (metric["Namespace"], metric["MetricName"]) == ("modelstack", "LabelsDelay")
        assert metric["Dimensions"] == [{"Name": "EndpointName", "Value": "flight-delay-prod"}]
        assert asked["ScanBy"] == "TimestampDescending"
        return {"MetricDataResults": [{"Id": query["Id"], "Values": self.values}]}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((480.0, 3.0), "captures and labels are counted 8 minutes after they came: what follows is as old"),
        ((59.0, 480.0), ""),
        ((), ""),
    ],
)
def test_a_backlog_is_told_by_the_file_that_was_counted_last(
    monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...], said: str
) -> None:
    client = CloudWatch(*values)
    monkeypatch.setattr(Target, "client", lambda *_: client)
    assert line(read(TARGET)) == said
