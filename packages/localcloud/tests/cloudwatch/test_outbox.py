"""Messages arrive: after failures, after a restart, in their order; or their failure is told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from localcloud.cloudwatch import history
from localcloud.server.platform import DeliveryRefused

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rollback"


async def drill(local, state: str = "ALARM") -> None:
    await local("SetAlarmState", AlarmName="alarm", StateValue=state, StateReason="drill")


def test_a_refused_action_is_told_in_the_history_and_not_tried_again(tell):
    async def story(local):
        await local.alarm(AlarmActions=[FUNCTION])
        await local.settle()
        local.mail.failures = [DeliveryRefused("lambda.alarms.cloudwatch.amazonaws.com is not authorized")]
        await drill(local)
        await local.settle()
        assert local.mail.invoked == []
        assert await local.history("Action") == [
            f'Failed to execute action {FUNCTION}. Received error: "lambda.alarms.cloudwatch.amazonaws.com is not '
            'authorized"'
        ]
        answer = await local("DescribeAlarmHistory", HistoryItemType="Action")
        data = json.loads(answer["AlarmHistoryItems"][0]["HistoryData"])
        assert (data["actionState"], data["notificationResource"]) == ("Failed", FUNCTION)

    tell(story)


def test_a_failed_action_is_tried_again_while_others_and_evaluation_go_on(tell):
    async def story(local):
        await local.alarm(AlarmActions=[TOPIC, FUNCTION], TreatMissingData="notBreaching")
        await local.settle()
        local.mail.failures = [ConnectionError("down"), ConnectionError("down"), ConnectionError("down")]
        await drill(local)
        await local.until(lambda: local.clock.due(1) == 2)
        assert local.mail.published == local.mail.invoked == []
        local.clock.wake_until(local.clock.now + 1)
        local.clock.wake_until(local.clock.now + 1)
        await local.until(lambda: len(local.mail.published) + len(local.mail.invoked) == local.clock.due(2) == 1)
        assert not local.clock.wake_until(local.clock.now + 1.9)
        assert local.clock.wake_until(local.clock.now + 0.2)
        await local.settle()
        assert (len(local.mail.published), len(local.mail.invoked)) == (1, 1)
        assert len(await local.history("Action")) == 2

    tell(story)


def test_an_action_that_fails_for_good_is_given_up_and_told(tell):
    async def story(local):
        await local.alarm(AlarmActions=[TOPIC], TreatMissingData="ignore")
        await local.settle()
        local.mail.failures = [ConnectionError("down")] * 20
        await drill(local)
        while not await local.history("Action"):
            local.clock.wake_until(local.clock.now + 60)
        await local.settle()
        (summary,) = await local.history("Action")
        assert summary == f'Failed to execute action {TOPIC}. Received error: "ConnectionError: down"'
        assert len(local.mail.failures) == 12

    tell(story)


def test_what_had_not_arrived_when_the_process_ended_arrives_after_the_next_start(start):
    async def main():
        async with start() as local:
            await local.alarm(AlarmActions=[TOPIC, FUNCTION])
            await local.settle()
            local.mail.failures = [ConnectionError("down")] * 2
            await drill(local)
            await local.until(lambda: local.clock.due(1) == 2)
            assert local.mail.published == local.mail.invoked == []
            clock = local.clock
        async with start(clock) as local:
            await local.settle()
            assert (len(local.mail.published), len(local.mail.invoked)) == (1, 1)
            assert len(await local.history("Action")) == 2
        async with start(clock) as local:
            await local.settle()
            assert local.mail.published == local.mail.invoked == []

    asyncio.run(main())


def test_a_message_that_cannot_be_noted_does_not_hold_up_those_behind_it(tell, monkeypatch, caplog):
    acted, troubles = history.acted, [ValueError("not to be noted")]

    def note(*arguments: Any, **more: Any) -> Any:
        if troubles:
            raise troubles.pop()
        return acted(*arguments, **more)

    monkeypatch.setattr(history, "acted", note)

    async def story(local):
        await local.alarm(AlarmActions=[TOPIC], OKActions=[TOPIC], TreatMissingData="ignore")
        await local.settle()
        for state in ("ALARM", "OK"):
            await drill(local, state)
        await local.settle()
        assert len(local.mail.published) == 2
        assert len(await local.history("Action")) == 1

    tell(story)
    assert f"a message of alarm alarm to {TOPIC} failed" in caplog.text


def test_messages_to_one_target_keep_their_order(tell):
    async def story(local):
        await local.alarm(AlarmActions=[TOPIC], OKActions=[TOPIC], TreatMissingData="ignore")
        await local.settle()
        local.mail.failures = [ConnectionError("down")]
        for state in ("ALARM", "OK", "ALARM", "OK"):
            await drill(local, state)
        await local.until(lambda: local.clock.due(1) == 1)
        local.clock.wake_until(local.clock.now + 1)
        await local.settle()
        order = [json.loads(text)["NewStateValue"] for _, _, text, *_ in local.mail.published]
        assert order == ["ALARM", "OK", "ALARM", "OK"]

    tell(story)
