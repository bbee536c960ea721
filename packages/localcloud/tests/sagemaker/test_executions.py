"""Which steps of an execution run, and how it ends, is stopped, and goes on."""

from __future__ import annotations

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from localcloud.sagemaker.job_runs import LOST

from .asked import (
    callback_step,
    evaluate_step,
    lambda_step,
    process_step,
    token,
    train_step,
)
from .conftest import failure, ours, run

pytestmark = pytest.mark.e2e


def test_steps_run_side_by_side_as_many_as_the_execution_allows(inside):
    hold = inside.hold()
    steps = [process_step(name, wishes={"until": hold.until}) for name in ("A", "B", "C")]

    async def running(arn: str) -> list[str]:
        return [name for name, step in (await inside.steps(arn)).items() if step["StepStatus"] == "Executing"]

    async def scenario() -> None:
        async with inside.running():
            limit = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 2}}
            arn = await inside.execute(*steps, process_step("Last", after=["A", "B", "C"]), **limit)
            while len(await running(arn)) < 2:
                await asyncio.sleep(0.01)
            assert set(await inside.steps(arn)) == {"A", "B"}
            more = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": 3}}
            await inside.call("UpdatePipelineExecution", PipelineExecutionArn=arn, **more)
            while len(await running(arn)) < 3:
                await asyncio.sleep(0.01)
            hold.release()
            execution, found = await inside.executed(arn)
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert list(found)[-1] == "Last"
        assert found["Last"]["StartTime"] >= max(found[name]["EndTime"] for name in ("A", "B", "C"))

    run(scenario())


def test_steps_that_wait_for_this_cloud_take_no_thread_of_those_that_answer(inside):
    both, names = threading.Barrier(2, timeout=60), ("A", "B")

    def invoke(FunctionName: str, Payload: str) -> dict[str, Any]:
        both.wait()
        return {"Payload": inside.aws.body(b"{}")}

    async def scenario() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        async with inside.running():
            inside.aws.invoke = invoke
            _, steps = await inside.executed(await inside.execute(*(lambda_step(name, {}) for name in names)))
        assert {name: step["StepStatus"] for name, step in steps.items()} == dict.fromkeys(names, "Succeeded")

    run(scenario())


def test_an_execution_that_is_stopped_stops_its_jobs_and_is_retried_from_where_it_was(inside):
    hold = inside.hold()
    steps = [train_step("Train"), process_step("Slow", wishes={"until": hold.until}, after=["Train"])]
    steps.append(process_step("Never", after=["Slow"]))

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(*steps)
            await hold.reached()
            once = token()
            stopped = await inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **once)
            assert await inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **once) == stopped
            execution, found = await inside.executed(arn)
            assert ours(inside) == []
            assert execution["PipelineExecutionStatus"] == "Stopped"
            assert {name: step["StepStatus"] for name, step in found.items()} == {
                "Train": "Succeeded",
                "Slow": "Stopped",
            }
            again = await failure(inside.call("StopPipelineExecution", PipelineExecutionArn=arn, **token()))
            assert again.code == "ConflictException"
            hold.release()
            await inside.call("RetryPipelineExecution", PipelineExecutionArn=arn, **token())
            execution, retried = await inside.executed(arn)
            while inside.bus.of_pipelines()[-1][0] != "execution":
                await asyncio.sleep(0.01)
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert retried["Train"] == found["Train"]
        assert (retried["Slow"]["AttemptCount"], retried["Never"]["AttemptCount"]) == (2, 1)
        assert retried["Slow"]["Metadata"] != found["Slow"]["Metadata"]
        assert [status for name, status in inside.bus.of_pipelines() if name == "execution"] == [
            *("Executing", "Stopping", "Stopped"),
            *("Executing", "Succeeded"),
        ]

    run(scenario())


def test_a_step_that_fails_lets_the_others_end_and_says_why(inside):
    hold = inside.hold()
    bad = process_step("Bad", wishes={"exit": "3", "lines": json.dumps(["no rows"])})
    good = process_step("Good", wishes={"until": hold.until})

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(bad, good, process_step("Never", after=["Good"]))
            while (await inside.steps(arn)).get("Bad", {}).get("StepStatus") != "Failed":
                await asyncio.sleep(0.01)
            await hold.reached()
            hold.release()
            execution, steps = await inside.executed(arn)
        assert execution["PipelineExecutionStatus"] == "Failed"
        assert set(steps) == {"Bad", "Good"}
        assert steps["Good"]["StepStatus"] == "Succeeded"
        assert steps["Bad"]["FailureReason"].startswith("AlgorithmError: See job logs for more information")
        assert steps["Bad"]["FailureReason"].endswith("no rows")

    run(scenario())


def test_an_execution_goes_on_where_a_server_left_it(inside):
    hold = inside.hold()
    ask = callback_step("Ask", {})
    slow = train_step("Slow", wishes={"until": hold.until}, after=["Train"])
    steps = (train_step("Train"), slow, ask, process_step("Last", after=["Slow", "Ask"]))

    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(*steps)
            await hold.reached()
            while not inside.aws.messages:
                await asyncio.sleep(0.01)
            before = await inside.steps(arn)
        asked = json.loads(inside.aws.messages[0][1])
        hold.release()
        async with inside.running():
            await inside.call("SendPipelineExecutionStepSuccess", CallbackToken=asked["token"])
            execution, after = await inside.executed(arn)
            lost = before["Slow"]["Metadata"]["TrainingJob"]["Arn"]
            job = await inside.call("DescribeTrainingJob", TrainingJobName=lost.rpartition("/")[2])
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert job["FailureReason"] == LOST
        assert after["Train"] == before["Train"]
        assert after["Slow"]["Metadata"]["TrainingJob"]["Arn"] != lost
        assert len(inside.aws.messages) == 1
        assert list(after) == ["Train", "Ask", "Slow", "Last"] or list(after) == ["Ask", "Train", "Slow", "Last"]

    run(scenario())


def test_selected_steps_build_upon_another_execution(inside):
    async def scenario() -> None:
        async with inside.running():
            steps = (train_step("Train"), evaluate_step(0.7), process_step("Last", after=["Evaluate"]))
            first = await inside.execute(*steps)
            _, before = await inside.executed(first)
            chosen = {"SelectedSteps": [{"StepName": "Evaluate"}]}
            lacking = await failure(inside.start("flow", SelectiveExecutionConfig=chosen))
            config = {**chosen, "SourcePipelineExecutionArn": first}
            execution, after = await inside.executed(await inside.start("flow", SelectiveExecutionConfig=config))
        assert lacking.message == (
            "Invalid SourcePipelineExecutionArn: null. The selected steps [Evaluate] have dependencies on [Train]"
        )
        assert execution["PipelineExecutionStatus"] == "Succeeded"
        assert execution["SelectiveExecutionConfig"] == config
        assert list(after) == ["Train", "Evaluate"]
        assert after["Train"]["SelectiveExecutionResult"] == {"SourcePipelineExecutionArn": first}
        assert after["Train"]["Metadata"] == before["Train"]["Metadata"]
        assert after["Evaluate"]["Metadata"] != before["Evaluate"]["Metadata"]

    run(scenario())
