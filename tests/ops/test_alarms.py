"""Which alarms are an endpoint's own?"""

from __future__ import annotations

import pytest

from ops.alarms import is_own
from tests.infra.recorded import OLD, idle, run_program


# The SDK's own modules, when they load.
@pytest.mark.filterwarnings("ignore:.*has been deprecated in favor of.*:DeprecationWarning")
def test_every_alarm_that_the_program_declares_is_and_none_of_a_stack_whose_name_begins_alike() -> None:
    world = run_program(state=idle(OLD), retraining={"enabled": True})
    names = [item.inputs["name"] for item in world.all(":MetricAlarm")]
    names += [item.inputs["alarmName"] for item in world.all(":CompositeAlarm")]
    assert len(names) > 20
    for name in names:
        assert is_own(name, "flight-delay-local"), name
        others = name.replace("flight-delay-local-", "flight-delay-local-year-")
        assert not is_own(others, "flight-delay-local"), others
