"""A CloudWatch of each test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from localcloud.testing.cloudwatch import TOPIC, Local, Mailbox, ManualClock, running

__all__ = ["ARN", "FUNCTION", "SINGLE", "TOPIC", "math"]

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rollback"
ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:alarm"
"""Of the alarm that `Local.alarm` defines."""
SINGLE = dict.fromkeys(["Namespace", "MetricName", "Statistic", "Period"])
"""What an alarm on one metric has and an alarm on metric math leaves out."""


def math(expression: str, *metrics: str, period: int = 10, **dimensions: str) -> list[dict[str, Any]]:
    """The queries of an alarm on an expression over sums of metrics in the namespace `test`."""
    pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return [
        {"Id": "watched", "Expression": expression},
        *(
            {
                "Id": metric,
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "test", "MetricName": metric, "Dimensions": pairs},
                    "Period": period,
                    "Stat": "Sum",
                },
            }
            for metric in metrics
        ),
    ]


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., Any]:
    """Starts a CloudWatch on the test's own state; give `clock` and `mail` to go on with those of another start."""

    def begin(clock: ManualClock | None = None, mail: Mailbox | None = None) -> Any:
        return running(tmp_path, clock, mail)

    return begin


@pytest.fixture
def tell(start: Callable[..., Any]) -> Callable[[Callable[[Local], Awaitable[None]]], None]:
    """Runs a story against a new CloudWatch."""

    def run(story: Callable[[Local], Awaitable[None]]) -> None:
        async def main() -> None:
            async with start() as local:
                await story(local)

        asyncio.run(main())

    return run
