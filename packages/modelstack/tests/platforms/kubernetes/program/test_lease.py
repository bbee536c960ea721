from __future__ import annotations

import pytest

from modelstack.platforms.kubernetes.kinds import LEASE
from modelstack.platforms.kubernetes.names import CONTROLLER
from modelstack.platforms.kubernetes.program.lease import DURATION, RENEW, Lease
from modelstack.rollout.core.errors import Unreachable
from tests.platforms.kubernetes.fake_api import FakeApi
from tests.platforms.kubernetes.world import TestClock


def holder(api: FakeApi) -> str:
    return api.get(LEASE, CONTROLLER)["spec"]["holderIdentity"]


def test_the_first_one_gets_it_and_the_other_does_not() -> None:
    api, clock = FakeApi(), TestClock()
    one, two = Lease(api.as_api, "one", clock.time), Lease(api.as_api, "two", clock.time)
    assert [one.keep(), two.keep(), one.keep(), two.keep()] == [True, False, True, False]
    assert holder(api) == "one"


def test_to_renew_is_one_call() -> None:
    api = FakeApi()
    one = Lease(api.as_api, "one")
    one.keep()
    api.calls.clear()
    one.keep()
    assert api.calls == [("patch", "leases")]


def test_one_that_is_not_renewed_is_taken_and_its_holder_notices() -> None:
    api, clock = FakeApi(), TestClock()
    one, two = Lease(api.as_api, "one", clock.time), Lease(api.as_api, "two", clock.time)
    one.keep()
    assert not two.keep()
    clock.now += DURATION
    assert not two.keep()
    clock.now += 1
    assert two.keep()
    assert not one.keep()
    assert holder(api) == "two"
    assert api.get(LEASE, CONTROLLER)["spec"]["leaseTransitions"] == 2


def test_no_clock_of_another_machine_is_believed() -> None:
    api, clock = FakeApi(), TestClock()
    Lease(api.as_api, "one", clock.time).keep()
    api.patched(LEASE, CONTROLLER, {"spec": {"renewTime": "1999-01-01T00:00:00.000000Z"}}, "tests")
    two = Lease(api.as_api, "two", clock.time)
    assert not two.keep(), "it was seen for the first time just now"


def test_one_that_is_released_can_be_had_at_once() -> None:
    api, clock = FakeApi(), TestClock()
    one, two = Lease(api.as_api, "one", clock.time), Lease(api.as_api, "two", clock.time)
    one.keep()
    one.release()
    assert two.keep()
    two_again = Lease(api.as_api, "two", clock.time)
    assert two_again.keep(), "a container that was started again bears the same name"


def test_one_that_somebody_deletes_is_made_again() -> None:
    api = FakeApi()
    one = Lease(api.as_api, "one")
    one.keep()
    api.delete(LEASE, CONTROLLER)
    assert one.keep()
    assert holder(api) == "one"


def test_it_lapses_before_another_may_take_it() -> None:
    api, clock = FakeApi(), TestClock()
    one = Lease(api.as_api, "one", clock.time)
    assert one.lapsed
    one.keep()
    api.down = True
    with pytest.raises(Unreachable):
        one.keep()
    clock.now += DURATION - RENEW
    assert not one.lapsed
    clock.now += 0.1
    assert one.lapsed
