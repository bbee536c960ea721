"""The alarm on drift: it rings within a period, stays on from file to file, and ends when no evidence is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from localcloud.testing.cloudwatch import TOPIC, Datum, Local, running
from tests.infra.queries import as_put
from tests.infra.recorded import LOCAL, OLD, idle
from tests.infra.recorded import run_program as run

SWEEP = 120


class Watched:
    """A CloudWatch with the alarm as the local stack declares it."""

    def __init__(self, local: Local) -> None:
        self.local = local

    async def told(self, evidence: float, seconds: float) -> str:
        """The alarm's state some seconds after an evidence was told."""
        place = {"EndpointName": LOCAL.endpoint, "VariantName": OLD.variant}
        self.local.service.put("modelstack", [Datum("DriftEvidence", place, evidence, "None", self.local.clock.now)])
        return await self.later(seconds)

    async def later(self, seconds: float) -> str:
        """The alarm's state after some seconds of silence."""
        await self.local.advance(seconds)
        answer = await self.local("DescribeAlarms", AlarmNames=[LOCAL.alarm(OLD.variant, "drift")])
        return answer["MetricAlarms"][0]["StateValue"]


def play(tmp_path: Path, story: Callable[[Watched], Awaitable[None]]) -> None:
    world = run(state=idle(OLD), monitoring={"period_seconds": 10, "drift_minutes": SWEEP // 60})
    inputs = world.one(":MetricAlarm", f"{OLD.variant}-drift").inputs

    async def main() -> None:
        async with running(tmp_path) as local:
            await local("PutMetricAlarm", AlarmName=inputs["name"], AlarmActions=[TOPIC], **as_put(inputs))
            await story(Watched(local))

    asyncio.run(main())


def test_it_stays_quiet_below_an_evidence_of_one_and_in_silence(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert await watched.later(SWEEP) == "OK"
        for _ in range(10):
            assert await watched.told(0.99, SWEEP) == "OK"

    play(tmp_path, story)


def test_it_rings_within_a_period_of_the_file_and_once_while_sweeps_tell_the_evidence_again(tmp_path: Path) -> None:
    async def story(watched: Watched) -> None:
        assert await watched.told(0.5, 30) == "OK"
        assert await watched.told(1.0, 20) == "ALARM"
        for _ in range(5):
            assert await watched.later(SWEEP - 20) == "ALARM"
            assert await watched.told(1.0, 20) == "ALARM"
        assert len(watched.local.mail.published) == 1

    play(tmp_path, story)


@pytest.mark.parametrize("after", [0.2, None], ids=["the days are as at training again", "the release serves no more"])
def test_it_ends_about_two_sweeps_after_the_last_evidence_of_one(tmp_path: Path, after: float | None) -> None:
    async def story(watched: Watched) -> None:
        assert await watched.told(3.0, SWEEP) == "ALARM"
        assert await (watched.later(90) if after is None else watched.told(after, 90)) == "ALARM"
        assert await watched.later(90) == "OK", "CloudWatch looks at two periods more"

    play(tmp_path, story)
