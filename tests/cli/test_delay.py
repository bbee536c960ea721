"""What `modelstack status` says of how late captures and labels are counted."""

from __future__ import annotations

import pytest

from cli.view.delay import line, read
from tests.cli.conftest import PROD, CloudWatch


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([3.0, 480.0], "captures and labels are counted 8 minutes after they came: what follows is as old"),
        ([480.0, 59.0], ""),
        ([], ""),
    ],
)
def test_a_backlog_is_told_by_the_file_that_was_counted_last(
    cloudwatch: CloudWatch, values: list[float], said: str
) -> None:
    cloudwatch.had = {("LabelsDelay", "Maximum", ""): values}
    assert line(read(PROD)) == said
    asked = cloudwatch.asked["get_metric_data"]
    assert asked["ScanBy"] == "TimestampAscending"
    assert asked["MetricDataQueries"][0]["MetricStat"]["Metric"]["Namespace"] == "modelstack"
