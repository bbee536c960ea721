"""Do the alarms that guard a deployment exist, and does one fire?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

_KINDS = ["MetricAlarm", "CompositeAlarm"]


class AlarmsUnreadable(Exception):
    """CloudWatch did not say which state the alarms are in."""


class Alarms:
    """The alarms of this cloud's CloudWatch.

    Args:
        cloudwatch: Answers a boto3 CloudWatch client; blocks.
    """

    def __init__(self, cloudwatch: Callable[[], Any]) -> None:
        self._cloudwatch = cloudwatch

    async def states(self, names: Sequence[str]) -> dict[str, str]:
        """The StateValue of each of these alarms that exists, by name.

        Raises:
            AlarmsUnreadable: CloudWatch does not answer, or with an error.
        """
        return await asyncio.to_thread(self._states, list(names)) if names else {}

    def _states(self, names: list[str]) -> dict[str, str]:
        try:
            answer = self._cloudwatch().describe_alarms(AlarmNames=names, AlarmTypes=_KINDS)
        except (ClientError, BotoCoreError) as error:
            raise AlarmsUnreadable(str(error)) from error
        found = [*answer.get("MetricAlarms", ()), *answer.get("CompositeAlarms", ())]
        return {alarm["AlarmName"]: alarm["StateValue"] for alarm in found}
