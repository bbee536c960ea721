"""Which alarms are an endpoint's own?"""

from __future__ import annotations

from typing import Any

import pytest

from cli.target import Target
from cli.view import snapshot
from cli.view.alarms import is_own
from tests.infra.recorded import OLD, idle, run_program


def test_every_alarm_that_the_program_declares_is_and_none_of_a_stack_whose_name_begins_alike() -> None:
    world = run_program(state=idle(OLD), retraining={"enabled": True})
    names = [item.inputs["name"] for item in world.all(":MetricAlarm")]
    names += [item.inputs["alarmName"] for item in world.all(":CompositeAlarm")]
    assert len(names) == 16
    for name in names:
        assert is_own(name, "flight-delay-local"), name
        others = name.replace("flight-delay-local-", "flight-delay-local-year-")
        assert not is_own(others, "flight-delay-local"), others


def test_status_leaves_out_what_tells_nobody_and_shows_metric_alarms_first(monkeypatch: pytest.MonkeyPatch) -> None:
    class CloudWatch:
        def get_paginator(self, operation: str) -> CloudWatch:
            return self

        def paginate(self, **_: Any) -> list[dict[str, Any]]:
            names = ("e-burn-fast", "e-functions-failing", "e-other-functions-failing")
            metric = [{"AlarmName": name, "StateValue": "OK"} for name in names]
            composite = [{"AlarmName": "e-slo-page", "StateValue": "OK", "AlarmRule": "x"}]
            return [{"MetricAlarms": metric, "CompositeAlarms": composite}]

    monkeypatch.setattr(Target, "client", lambda *_: CloudWatch())
    shown = snapshot._alarms(Target("local", "e", "us-east-1", {}))
    assert [alarm.name for alarm in shown] == ["e-functions-failing", "e-slo-page"]
