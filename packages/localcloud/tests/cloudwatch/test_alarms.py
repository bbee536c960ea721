"""What state an alarm is in: on a clock, with data that come and stay away."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from localcloud.cloudwatch.evaluation import Verdict

from .conftest import FUNCTION, SINGLE, math


def test_a_breach_is_acted_on_within_two_periods(tell):
    async def story(local):
        await local.alarm(AlarmActions=[FUNCTION])
        await local.advance(10.6)
        local.put(5)
        breached = local.clock.now
        while not local.mail.invoked:
            await local.advance(0.1)
        assert local.clock.now - breached < 2 * 10
        assert local.clock.now - breached <= 10 + 0.1

    tell(story)


def test_a_new_alarm_is_insufficient_data_until_it_is_evaluated(tell):
    async def story(local):
        await local.alarm(TreatMissingData="notBreaching")
        assert (await local.describe())["StateReason"] == "Unchecked: Initial alarm creation"
        await local.settle()
        assert await local.state() == "OK"
        assert await local.history() == ['Alarm "alarm" created', "Alarm updated from INSUFFICIENT_DATA to OK"]

    tell(story)


def test_other_dimensions_never_trip_an_alarm(tell):
    async def story(local):
        dimensions = [{"Name": "Variant", "Value": "a"}]
        await local.alarm(Dimensions=dimensions, TreatMissingData="notBreaching")
        await local.settle()
        local.put(100)
        local.put(100, Variant="b")
        local.put(100, Variant="a", Endpoint="e")
        local.put(100, "other", Variant="a")
        await local.advance(30)
        assert await local.state() == "OK"
        local.put(100, Variant="a")
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_an_alarm_ages_out_to_insufficient_data_when_data_stop(tell):
    async def story(local):
        await local.alarm()
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        await local.advance(20)  # the evaluation range is three periods
        assert await local.state() == "ALARM"
        await local.advance(10)
        assert await local.state() == "INSUFFICIENT_DATA"
        assert (await local.describe())["StateReason"] == "Insufficient Data: 1 datapoint was unknown."

    tell(story)


@pytest.mark.parametrize(("missing", "state"), [("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "ALARM")])
def test_what_stops_is_treated_as_the_alarm_says(tell, missing, state):
    async def story(local):
        await local.alarm(TreatMissingData=missing)
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        await local.advance(60)
        assert await local.state() == state

    tell(story)


def test_m_of_n_needs_m_breaching_periods(tell):
    async def story(local):
        await local.alarm(EvaluationPeriods=3, DatapointsToAlarm=2, TreatMissingData="notBreaching")
        local.put(5)
        await local.advance(10)
        local.put(0)
        await local.advance(10)
        assert await local.state() == "OK"
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_standard_alarms_are_evaluated_every_minute_on_sliding_periods(tell):
    async def story(local):
        await local.alarm(Period=300, TreatMissingData="notBreaching")
        await local.settle()
        local.clock.now += 70
        local.put(5)
        await local.advance(51)
        assert await local.state() == "ALARM"
        data = json.loads((await local.describe())["StateReasonData"])
        assert data["startDate"] == "2025-11-24T15:57:00.000+0000"

    tell(story)


def test_data_that_come_late_are_looked_at_at_once(tell):
    async def story(local):
        await local.alarm(Period=60, TreatMissingData="notBreaching")
        await local.advance(63)
        assert await local.state() == "OK"
        local.put(5, ago=5)
        local.service._store.fold()
        await local.advance(0.6)
        assert await local.state() == "ALARM"

    tell(story)


def test_data_of_the_running_period_do_not_wake_the_evaluator(tell):
    async def story(local):
        await local.alarm(Period=60, TreatMissingData="notBreaching")
        await local.advance(63)
        due = dict(local.service._evaluator._due)
        local.put(5)
        local.service._store.fold()
        assert local.service._evaluator._due == due

    tell(story)


def test_an_alarm_on_a_percentile_sees_the_slow_few(tell):
    async def story(local):
        await local.alarm(
            MetricName="latency", Statistic=None, ExtendedStatistic="p99", Threshold=1000.0, TreatMissingData="ignore"
        )
        for number in range(100):
            local.put(5000 if number >= 98 else 10, "latency")
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_a_percentile_of_few_samples_is_left_alone_when_asked(tell):
    async def story(local):
        base = {"MetricName": "latency", "Statistic": None, "ExtendedStatistic": "p90", "Threshold": 1000.0}
        await local.alarm("ignore", **base, EvaluateLowSampleCountPercentile="ignore")
        await local.alarm("evaluate", **base, EvaluateLowSampleCountPercentile="evaluate")
        for _ in range(99):
            local.put(5000, "latency")
        await local.advance(11)
        assert [await local.state(name) for name in ("ignore", "evaluate")] == ["INSUFFICIENT_DATA", "ALARM"]
        for _ in range(100):
            local.put(5000, "latency")
        await local.advance(11)
        assert await local.state("ignore") == "ALARM"

    tell(story)


def test_an_alarm_on_a_rate_has_no_data_without_traffic(tell):
    async def story(local):
        await local.alarm(
            **SINGLE, Metrics=math("errors / requests", "errors", "requests", Variant="a"), Threshold=0.05,
            TreatMissingData="ignore",
        )  # fmt: skip
        local.put(100, "requests", Variant="a")
        local.put(100, "errors", Variant="b")
        await local.advance(11)
        assert await local.state() == "OK"
        local.put(50, "requests", Variant="a")
        local.put(25, "errors", Variant="a")
        await local.advance(10)
        assert await local.state() == "ALARM"
        await local.advance(60)
        assert await local.state() == "ALARM"

    tell(story)


def test_fill_makes_missing_data_a_value(tell):
    async def story(local):
        await local.alarm(**SINGLE, Metrics=math("FILL(errors, 9)", "errors"))
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_alarms_on_dynamodb_always_ignore_missing_data(tell):
    async def story(local):
        await local.alarm(Namespace="AWS/DynamoDB", TreatMissingData="breaching")
        await local.advance(60)
        assert await local.state() == "INSUFFICIENT_DATA"

    tell(story)


def test_a_verdict_on_a_state_that_is_no_longer_changes_nothing(tell):
    async def story(local):
        await local.alarm(TreatMissingData="ignore")
        await local.settle()
        book = local.service._book
        before = book.alarms["alarm"]
        await local("SetAlarmState", AlarmName="alarm", StateValue="ALARM", StateReason="meanwhile")
        await book.decide([(before, Verdict("OK", "too late", "{}"))])
        assert await local.state() == "ALARM"
        await local.alarm(Threshold=2.0)
        await book.decide([(replace(book.alarms["alarm"], queries=before.queries), Verdict("OK", "old metrics", "{}"))])
        assert await local.state() == "ALARM"

    tell(story)


def test_two_hundred_alarms_are_read_and_evaluated_in_one_go(tell):
    async def story(local):
        for number in range(200):
            await local.alarm(f"a{number}", Dimensions=[{"Name": "n", "Value": str(number)}], TreatMissingData="ignore")
        await local.settle()
        local.put(5, n="7")
        reads = 0
        read = local.service._database.read

        async def counted(work):
            nonlocal reads
            reads += 1
            return await read(work)

        local.service._database.read = counted
        await local.advance(10.5)
        assert reads == 1
        assert await local.state("a7") == "ALARM"

    tell(story)


WARM_UP = {"WarmUpPeriodDurationInMinutes": 2}


def test_an_alarm_that_warms_up_says_nothing_of_missing_data_until_then(tell):
    async def story(local):
        await local.alarm(TreatMissingData="breaching", WarmUpConfiguration=WARM_UP, AlarmActions=[FUNCTION])
        assert (await local.describe())["WarmUpConfiguration"] == WARM_UP
        await local.advance(115)
        assert await local.state() == "INSUFFICIENT_DATA"
        assert not local.mail.invoked
        await local.advance(20)
        assert await local.state() == "ALARM"
        assert local.mail.invoked

    tell(story)


def test_a_warm_up_ends_as_soon_as_there_are_as_many_data_points_as_are_looked_at(tell):
    async def story(local):
        await local.alarm(TreatMissingData="breaching", WarmUpConfiguration=WARM_UP, EvaluationPeriods=2)
        local.put(0)
        await local.advance(11)
        assert await local.state() == "INSUFFICIENT_DATA"
        local.put(0)
        await local.advance(10)
        assert await local.state() == "OK"
        await local.advance(50)
        assert await local.state() == "ALARM", "data stopped, and the warm-up does not begin again"

    tell(story)


def test_a_warm_up_that_waits_for_all_of_it_does_not_look_at_data_before(tell):
    async def story(local):
        whole = {**WARM_UP, "OnlyStartEvaluatingAfterWarmUpPeriodEnds": True}
        await local.alarm(WarmUpConfiguration=whole)
        for _ in range(11):
            local.put(5)
            await local.advance(10)
        assert await local.state() == "INSUFFICIENT_DATA"
        for _ in range(2):
            local.put(5)
            await local.advance(10)
        assert await local.state() == "ALARM"

    tell(story)


def test_an_alarm_that_had_its_warm_up_gets_no_second_one(tell):
    async def story(local):
        await local.alarm(TreatMissingData="breaching")
        await local.settle()
        await local.alarm(TreatMissingData="notBreaching", WarmUpConfiguration=WARM_UP)
        await local.settle()
        assert await local.state() == "OK"

    tell(story)
