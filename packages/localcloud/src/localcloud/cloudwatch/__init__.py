"""CloudWatch on one machine: metrics, alarms that act, and dashboards.

    cloudwatch = create(platform)
    platform = dataclasses.replace(platform, metrics=cloudwatch)    # other services put their data here
    await cloudwatch.start()

It differs from AWS in this: in-process data have a resolution of a second, also those of AWS's namespaces; data that
come late are looked at at once, not at the next evaluation; data are kept for 15 days; anomaly detection, metric
streams, Contributor Insights, Metrics Insights and PromQL queries are refused by name. Each module says what else.
"""

from __future__ import annotations

from localcloud.cloudwatch.service import CloudWatch
from localcloud.server.platform import Platform

__all__ = ["CloudWatch", "create"]


def create(platform: Platform) -> CloudWatch:
    """Make the service; it reads nothing before it is started.

    Args:
        platform: Where it keeps its state and whom it delivers to. Its `metrics` are not used.
    """
    return CloudWatch(platform)
