"""The alarm on a moved concept: it rings on evidence of 1, stays quiet below, and keeps its state without labels."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from random import Random

import pytest

from infra.aws.alarm import RUNBOOK
from localcloud.testing.cloudwatch import TOPIC, Datum, Local, running
from monitoring.labels.concept import Bets, Tolerated, Usual
from monitoring.labels.settling import Labelled
from monitoring.published import CONCEPT_EVIDENCE
from monitoring.statistics.blocks import Cut
from tests.infra.queries import as_put
from tests.infra.recorded import LOCAL, OLD, ROOT, World, idle
from tests.infra.recorded import run_program as run

NAME = f"{OLD.variant}-concept"
HOUR = 3600.0
USUAL = Usual.of([0.45 + day % 7 / 50 for day in range(30)], Cut(HOUR, 1), 5.0)
assert USUAL is not None
TOLERATED = Tolerated.of(USUAL, share=0.05, false_alarms=0.5, late_days=0, every=HOUR)


@pytest.fixture(scope="module")
def world() -> World:
    return run(state=idle(OLD), monitoring={"max_loss_rise": 0.25, "labels_days": 3, "segments": ["carrier"]})


def test_each_variant_has_an_alarm_with_a_severity_and_a_runbook_that_is_there(world: World) -> None:
    declared = [item for item in world.all(":MetricAlarm") if item.name.endswith("-concept")]
    assert len(declared) == 2, "of the champion and of the challenger"
    for item in declared:
        assert item.inputs["alarmActions"]
        assert item.inputs["tags"] == {"severity": "ticket"}
        assert "more than 25%" in item.inputs["alarmDescription"]
        assert item.inputs["treatMissingData"] == "ignore", "no label says nothing"
        (anchor,) = re.findall(rf"Runbook: {RUNBOOK}#([\w-]+)", item.inputs["alarmDescription"])
        assert f"## {anchor.replace('-', ' ').capitalize()}\n" in (ROOT / RUNBOOK).read_text()


def test_the_function_is_told_what_is_tolerated_and_which_segments_there_are(world: World) -> None:
    variables = world.one("lambda/function:Function", "labels").inputs["environment"]["variables"]
    assert variables["LABELS_SEGMENTS"] == '["carrier"]'
    assert (variables["LABELS_LOSS_RISE"], variables["CONCEPT_FALSE_ALARMS"]) == ("0.25", "0.1")
    assert (float(variables["LABELS_DAYS"]), variables["DRIFT_MINUTES"]) == (3, "2")


class Told:
    """A CloudWatch with the alarm, and losses that become its metric."""

    def __init__(self, local: Local) -> None:
        self.local, self.bets, self.source, self.hours = local, Bets(), Random(1), 0

    async def lose(self, mean: float) -> None:
        """An hour of labels with losses about a mean, and the evidence after it."""
        loss, at = self.source.gauss(mean, 0.04), self.hours * HOUR
        self.bets.add(TOLERATED, [Labelled(loss, at, at)])
        self.bets.judge(TOLERATED)
        self.hours += 1
        place = {"EndpointName": LOCAL.endpoint, "VariantName": OLD.variant}
        value = self.bets.evidence(TOLERATED)
        self.local.service.put("modelstack", [Datum(CONCEPT_EVIDENCE, place, value, "None", self.local.clock.now)])
        await self.local.advance(30)

    async def state(self) -> str:
        answer = await self.local("DescribeAlarms", AlarmNames=[LOCAL.alarm(OLD.variant, "concept")])
        return answer["MetricAlarms"][0]["StateValue"]


def test_it_stays_quiet_while_losses_are_tolerated_and_rings_when_they_have_risen(world: World, tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path) as local:
            inputs = world.one(":MetricAlarm", NAME).inputs
            await local("PutMetricAlarm", AlarmName=inputs["name"], AlarmActions=[TOPIC], **as_put(inputs))
            told = Told(local)
            for _ in range(20):
                await told.lose(0.5)
                assert await told.state() == "OK"
            for _ in range(15):
                await told.lose(0.9)
            assert await told.state() == "ALARM"
            assert len(local.mail.published) == 1
            await local.advance(3600)
            assert await told.state() == "ALARM", "silence does not end it"
            for _ in range(10):
                await told.lose(0.3)
            assert await told.state() == "OK", "labels that are right again do"

    asyncio.run(main())
