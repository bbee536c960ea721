"""Endpoints that are updated under guardrails, in this process, with real serving processes; a minute is a second."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from localcloud.sagemaker.archive import Archives

from .conftest import failure, ours, run
from .guards import Load, blue_green, canary, linear, rolling, size

pytestmark = pytest.mark.e2e
SCALE = 60


async def begin(inside: Any, variant: Any, guard: dict[str, Any], count: int = 1, **behaviour: Any) -> None:
    """Bring endpoint `e` up with `count` instances and begin to update it to configuration `c2`, model `new`."""
    await inside.model("old")
    await inside.model("new", **behaviour)
    await inside.config("c1", variant("a", "old", InitialInstanceCount=count))
    await inside.config("c2", variant("a", "new", InitialInstanceCount=count))
    await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c1")
    assert (await inside.settled("e"))["EndpointStatus"] == "InService"
    await update(inside, guard)


async def update(inside: Any, guard: dict[str, Any], config: str = "c2", **more: Any) -> None:
    await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName=config, DeploymentConfig=guard, **more)


def test_a_canary_takes_its_share_then_all_and_costs_no_request(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, canary(25, wait=90, termination=30))
            async with Load(inside, "e") as load:
                async with baking:
                    during = await inside.call("DescribeEndpoint", EndpointName="e")
                    split = await load.split(200)
                after = await inside.settled("e")
                only = await load.split()
            assert load.errors == []
            assert 0.05 < split["new"] / split.total() < 0.5
            assert set(only) == {"new"}
            pending = during["PendingDeploymentSummary"]
            assert (during["EndpointStatus"], during["EndpointConfigName"]) == ("Updating", "c1")
            assert pending["EndpointConfigName"] == "c2"
            (status,) = pending["ProductionVariants"][0]["VariantStatus"]
            assert status["StatusMessage"] == (
                "Baking for 90 seconds (WaitIntervalInSeconds) with traffic enabled "
                "on canary capacity of 1 instance(s)."
            )
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c2")
            assert "PendingDeploymentSummary" not in after
            assert "FailureReason" not in after
            assert after["LastDeploymentConfig"] == canary(25, wait=90, termination=30)
            while len(ours(inside)) > 1:
                await asyncio.sleep(0.02)

    run(scenario())


def test_linear_steps_only_ever_raise_the_share(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, linear(50, wait=48, termination=0))
            async with Load(inside, "e") as load:
                async with baking:
                    split = await load.split(100)
                assert (await inside.settled("e"))["EndpointConfigName"] == "c2"
            assert load.errors == []
            assert 0.2 < split["new"] / split.total() < 0.8
            assert _stages(inside) == ["Creating", *["ActivatingTraffic", "Baking"] * 2, "Deleting"]

    run(scenario())


def test_all_at_once_bakes_for_the_termination_wait_and_can_still_come_back(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, blue_green("ALL_AT_ONCE", wait=0, termination=600, alarms=("errors",)))
            async with Load(inside, "e") as load:
                async with baking:
                    assert set(await load.split()) == {"new"}
                    inside.aws.alarms["errors"] = "ALARM"
                after = await inside.settled("e")
                assert set(await load.split()) == {"old"}
            assert load.errors == []
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
            assert "in ALARM state: errors" in after["FailureReason"]
            assert len(ours(inside)) == 1
            states = [event["EndpointStatus"] for event in inside.bus.of("State")]
            assert states[-3:] == ["UPDATING", "ROLLING_BACK", "IN_SERVICE"]

    run(scenario())


@pytest.mark.parametrize("guard", [canary, linear])
def test_an_alarm_while_a_part_bakes_gives_all_traffic_back(inside, variant, guard):
    async def scenario():
        inside.aws.alarms.update({"quiet": "INSUFFICIENT_DATA", "errors": "OK"})
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, guard(25, wait=600, alarms=("quiet", "errors")))
            async with Load(inside, "e") as load:
                async with baking:
                    assert (await load.split())["old"]
                    inside.aws.alarms["errors"] = "ALARM"
                after = await inside.settled("e")
                assert set(await load.split()) == {"old"}
            assert load.errors == []
            assert after["EndpointConfigName"] == "c1"
            assert "in ALARM state: errors. The deployment to c2 was rolled back." in after["FailureReason"]
            inside.aws.alarms["errors"] = "OK"
            await update(inside, canary(25, wait=0, termination=0, alarms=("errors",)))
            after = await inside.settled("e")
            assert after["EndpointConfigName"] == "c2"
            assert "FailureReason" not in after

    run(scenario())


def test_an_alarm_that_fires_already_ends_the_deployment_before_any_traffic(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "ALARM"
        async with inside.faster(SCALE).running():
            await begin(inside, variant, canary(25, alarms=("errors",)))
            async with Load(inside, "e") as load:
                after = await inside.settled("e")
            assert load.errors == []
            assert set(load.seen) == {"old"}
            assert after["EndpointConfigName"] == "c1"
            assert "in ALARM state: errors" in after["FailureReason"]

    run(scenario())


@pytest.mark.parametrize("loss", ["deleted", "unreadable"])
def test_an_alarm_that_cannot_be_read_never_lets_a_deployment_pass(inside, variant, loss):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, canary(25, wait=40, alarms=("errors",)))
            async with baking:
                if loss == "deleted":
                    inside.aws.alarms.clear()
                else:
                    inside.aws.refused.add("DescribeAlarms")
            after = await inside.settled("e")
            assert after["EndpointConfigName"] == "c1"
            words = {"deleted": "do not exist any more: errors", "unreadable": "could not be read"}
            assert words[loss] in after["FailureReason"]

    run(scenario())


def test_alarms_must_exist_when_the_update_begins(inside):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            refused = await failure(update(inside, canary(alarms=("nowhere",)), "e"))
            assert refused.code == "ValidationException"
            assert "Could not find the alarms of AutoRollbackConfiguration: nowhere" in refused.message
            assert (await inside.call("DescribeEndpoint", EndpointName="e"))["EndpointStatus"] == "InService"

    run(scenario())


@pytest.mark.parametrize(
    ("guard", "words"),
    [
        (canary(alarms=()) | {"AutoRollbackConfiguration": {"Alarms": []}}, "length greater than or equal to 1"),
        (canary(alarms=tuple(map(str, range(11)))), "length less than or equal to 10"),
        (canary(wait=3601), "less than or equal to 3600"),
        (canary(termination=3601), "less than or equal to 3600"),
        (canary(limit=599), "greater than or equal to 600"),
        (canary(limit=28801), "less than or equal to 28800"),
        (canary(0), "greater than or equal to 1"),
        (rolling(size(50), limit=599), "greater than or equal to 600"),
        (blue_green("SLOWLY"), "enum value set"),
        (canary(51), "CanarySize is 51 %"),
    ],
)
def test_a_deployment_config_outside_the_documented_limits_is_refused_and_changes_nothing(inside, guard, words):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1)
            refused = await failure(update(inside, guard, "e"))
            assert refused.code == "ValidationException"
            assert words in refused.message
            described = await inside.call("DescribeEndpoint", EndpointName="e")
            assert described["EndpointStatus"] == "InService"
            assert "LastDeploymentConfig" not in described

    run(scenario())


def test_a_fleet_that_does_not_come_up_leaves_the_old_one_with_the_reason(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            await begin(inside, variant, canary(), start="raise")
            async with Load(inside, "e") as load:
                after = await inside.settled("e")
            assert load.errors == []
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
            assert "no module named plausible" in after["FailureReason"]

    run(scenario())


@pytest.mark.parametrize("guard", [canary(), None])
def test_a_cloud_whose_interpreter_was_removed_ends_an_update_with_the_cause(
    inside, variant, guard, monkeypatch, caplog
):
    async def scenario():
        async with inside.faster(SCALE).running():
            await inside.endpoint("e", a=1)
            await inside.model("new")
            await inside.config("c2", variant("a", "new"))
            with monkeypatch.context() as patched:
                patched.setattr(sys, "executable", "/removed/bin/python")
                more = {"DeploymentConfig": guard} if guard else {}
                await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2", **more)
                after = await inside.settled("e", seconds=30)
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "e")
            assert "No such file or directory: '/removed/bin/python'" in after["FailureReason"]
            assert "variant" not in after["FailureReason"]  # it blames nobody's model
            assert "PendingDeploymentSummary" not in after
            assert "endpoint e: Updating failed: The local SageMaker could not run a container" in caplog.text
            assert (await inside.invoke("e"))["name"] == "e-a"
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            assert "FailureReason" not in await inside.settled("e")
            assert (await inside.invoke("e"))["name"] == "new"

    run(scenario())


def test_a_deployment_that_exceeds_its_time_is_taken_back(inside, variant):
    async def scenario():
        async with inside.faster(600).running():  # the limit of 600 s is a second
            await begin(inside, variant, canary(limit=600, wait=0), start="hang")
            after = await inside.settled("e")
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
            assert "exceeded MaximumExecutionTimeoutInSeconds (600 s)" in after["FailureReason"]
            assert len(ours(inside)) == 1

    run(scenario())


def test_a_rolling_deployment_replaces_batch_by_batch(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, rolling(size(50), wait=60), count=2)
            async with Load(inside, "e") as load:
                async with baking:
                    during = await inside.call("DescribeEndpoint", EndpointName="e")
                    split = await load.split()
                (pending,) = during["PendingDeploymentSummary"]["ProductionVariants"]
                assert (pending["CurrentInstanceCount"], pending["DesiredInstanceCount"]) == (1, 2)
                after = await inside.settled("e")
                only = await load.split()
            assert load.errors == []
            assert _stages(inside) == ["Updating", "ActivatingTraffic", "Baking", "Deleting"] * 2
            assert set(split) == {"old", "new"}
            assert set(only) == {"new"}
            assert after["EndpointConfigName"] == "c2"
            assert after["ProductionVariants"][0]["CurrentInstanceCount"] == 2
            assert len(ours(inside)) == 2

    run(scenario())


def test_a_rolling_deployment_is_rolled_back_in_batches(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).running():
            guard = rolling(size(25), wait=60, alarms=("errors",), RollbackMaximumBatchSize=size(1, "INSTANCE_COUNT"))
            baking = inside.bus.stop_at("Baking", times=3)
            await begin(inside, variant, guard, count=4)
            async with Load(inside, "e") as load:
                async with baking:
                    inside.aws.alarms["errors"] = "ALARM"
                after = await inside.settled("e")
                assert set(await load.split()) == {"old"}
            assert load.errors == []
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
            assert after["ProductionVariants"][0]["CurrentInstanceCount"] == 4
            assert _messages(inside)[-2:] == ["Launching 1 instance(s)."] * 2  # two of four had been ended
            assert len(ours(inside)) == 4

    run(scenario())


@pytest.mark.parametrize("trouble", [OSError(28, "No space left on device"), RuntimeError("can't start new thread")])
def test_a_rolling_deployment_whose_next_batch_cannot_be_laid_out_is_rolled_back(
    inside, variant, trouble, monkeypatch, caplog
):
    unpack = Archives.unpack
    fails: list[bool] = []

    def refuse(self: Archives, *arguments: Any) -> None:
        if fails and fails.pop():
            raise trouble
        unpack(self, *arguments)

    async def scenario():
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, rolling(size(50), wait=60), count=2)
            async with baking:
                fails.append(True)
                monkeypatch.setattr(Archives, "unpack", refuse)
            after = await inside.settled("e")
            assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
            assert str(trouble) in after["FailureReason"]
            assert after["ProductionVariants"][0]["CurrentInstanceCount"] == 2  # one of two had been ended
            assert str(trouble) in caplog.text
            assert {(await inside.invoke("e"))["name"] for _ in range(20)} == {"old"}
            assert len(ours(inside)) == 2

    run(scenario())


def _messages(inside: Any) -> list[str]:
    return [status["StatusMessage"] for status in _statuses(inside)]


def _stages(inside: Any) -> list[str]:
    return [status["Status"] for status in _statuses(inside)]


def _statuses(inside: Any) -> list[dict[str, Any]]:
    told = [event["PendingDeploymentSummary"] for event in inside.bus.of("Deployment State")]
    return [pending["ProductionVariants"][0]["VariantStatus"][0] for pending in told]


def test_a_rolling_deployment_that_cannot_come_back_serves_from_both_until_it_is_replaced(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).with_timing(startup_attempts=1).running():
            baking = inside.bus.stop_at("Baking", times=2)
            await begin(inside, variant, rolling(size(50), wait=90, alarms=("errors",)), count=2)
            async with Load(inside, "e") as load:
                async with baking:
                    # What starts from now on does not: the next start of the old model's archive fails.
                    for archive in (inside.platform.state / "sagemaker" / "archives").rglob("*"):
                        if archive.is_file():
                            archive.unlink()
                    inside.aws.alarms["errors"] = "ALARM"
                after = await inside.settled("e")
                split = await load.split()
            assert load.errors == []
            assert after["EndpointStatus"] == "UpdateRollbackFailed"
            assert "in ALARM state: errors" in after["FailureReason"]
            assert "The rollback failed as well" in after["FailureReason"]
            assert set(split) <= {"old", "new"}
            assert "new" in split
        async with inside.running():
            while inside.bus.of("State")[-1]["EndpointStatus"] != "UPDATE_ROLLBACK_FAILED" or len(ours(inside)) < 2:
                await asyncio.sleep(0.02)
            async with Load(inside, "e") as load:
                while "new" not in load.seen:
                    await asyncio.sleep(0.02)
                load.errors.clear()  # from before it was up again
                assert set(await load.split()) <= {"old", "new"}
                assert load.errors == []
            refused = await failure(update(inside, canary()))
            assert "serves from two fleets after a failed rollback" in refused.message
            inside.aws.alarms["errors"] = "OK"
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c1")
            described = await inside.settled("e")
            assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", "c1")
            assert (await inside.invoke("e"))["name"] == "old"
            while len(ours(inside)) > 2:
                await asyncio.sleep(0.02)

    run(scenario())


def test_a_deployment_config_is_kept_for_the_updates_that_retain_it(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            guard = canary(25, wait=0, termination=0)
            await inside.model("m")
            for name in ("c1", "c2", "c3"):
                await inside.config(name, variant("a", "m"))
            await inside.call("CreateEndpoint", EndpointName="e", EndpointConfigName="c1", DeploymentConfig=guard)
            described = await inside.settled("e")
            assert described["LastDeploymentConfig"] == guard
            assert inside.bus.of("Deployment State") == []
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            await inside.settled("e")
            assert inside.bus.of("Deployment State") == []
            both = failure(update(inside, guard, "c3", RetainDeploymentConfig=True))
            assert "Set either DeploymentConfig or RetainDeploymentConfig" in (await both).message
            await inside.call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c3", RetainDeploymentConfig=True)
            assert (await inside.settled("e"))["EndpointConfigName"] == "c3"
            assert any("canary capacity" in message for message in _messages(inside))

    run(scenario())


def test_an_update_that_retains_nothing_takes_weights_and_counts_from_the_configuration(inside, variant):
    async def scenario():
        async with inside.running():
            await inside.endpoint("e", a=1, b=1)
            wish = [{"VariantName": "a", "DesiredWeight": 0.2, "DesiredInstanceCount": 2}]
            call = inside.call
            await call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            await inside.settled("e")
            await inside.config("c2", variant("a", "e-a", 0.7), variant("b", "e-b", 0.3))
            await call("UpdateEndpoint", EndpointName="e", EndpointConfigName="c2")
            shown = (await inside.settled("e"))["ProductionVariants"]
            assert [(v["CurrentWeight"], v["CurrentInstanceCount"]) for v in shown] == [(0.7, 1), (0.3, 1)]
            excluded = [{"VariantPropertyType": "DesiredWeight"}]
            alone = call(
                "UpdateEndpoint",
                EndpointName="e",
                EndpointConfigName="c2",
                ExcludeRetainedVariantProperties=excluded,
            )
            assert "needs RetainAllVariantProperties" in (await failure(alone)).message

    run(scenario())


def test_a_restart_in_mid_deployment_begins_it_again(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, canary(25, wait=60, termination=0, alarms=("errors",)))
            await baking.reached()
        async with inside.running():
            assert (await inside.settled("e"))["EndpointConfigName"] == "c2"
            assert (await inside.invoke("e"))["name"] == "new"

    run(scenario())


def test_a_rollback_is_complete_after_a_restart_in_the_middle_of_it(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "OK"
        async with inside.faster(SCALE).running():
            baking, rolling_back = inside.bus.stop_at("Baking"), inside.bus.stop_at("ROLLING_BACK")
            await begin(inside, variant, canary(50, wait=600, alarms=("errors",)))
            async with baking:
                inside.aws.alarms["errors"] = "ALARM"
            await rolling_back.reached()
        for _ in range(2):  # what was put back stays so
            async with inside.running():
                after = await inside.settled("e")
                assert (after["EndpointStatus"], after["EndpointConfigName"]) == ("InService", "c1")
                assert {(await inside.invoke("e"))["name"] for _ in range(10)} == {"old"}
                assert len(ours(inside)) == 1
        assert "in ALARM state: errors" in after["FailureReason"]

    run(scenario())


def test_a_rollback_stays_one_after_a_restart(inside, variant):
    async def scenario():
        inside.aws.alarms["errors"] = "ALARM"
        async with inside.faster(SCALE).running():
            await begin(inside, variant, canary(50, alarms=("errors",)))
            assert (await inside.settled("e"))["EndpointConfigName"] == "c1"
        async with inside.running():
            await inside.settled("e")
            assert {(await inside.invoke("e"))["name"] for _ in range(10)} == {"old"}
            assert len(ours(inside)) == 1

    run(scenario())


def test_metrics_of_a_guarded_deployment_tell_the_configurations_apart(inside, variant):
    async def scenario():
        async with inside.faster(SCALE).running():
            baking = inside.bus.stop_at("Baking")
            await begin(inside, variant, canary(50, wait=60, termination=0))
            await inside.invoke("e")
            before = len(inside.metrics.values("Invocations", EndpointConfigName="c1"))
            async with Load(inside, "e") as load:
                async with baking:
                    await load.split()
                await inside.settled("e")
            assert before <= 1
            assert len(inside.metrics.values("Invocations", EndpointConfigName="c1")) <= load.seen.count("old") + before
            assert inside.metrics.values("Invocations", EndpointConfigName="c2", VariantName="a")

    run(scenario())
