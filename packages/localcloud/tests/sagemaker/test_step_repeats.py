"""When a step is not run because it ran before, and when it is tried again."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from .asked import (
    DAY,
    evaluate_step,
    parameter,
    pipeline_of,
    process_step,
    train_step,
)
from .conftest import run

pytestmark = pytest.mark.e2e


def test_a_step_is_taken_from_the_cache_while_its_arguments_are_the_same_and_it_is_not_too_old(inside):
    def flow(**wishes: str) -> list[dict[str, Any]]:
        train = train_step("Train", wishes={"depth": {"Get": "Parameters.Depth"}}, cache=DAY)
        return [train, evaluate_step(0.7, cache=DAY), process_step("Other", wishes=wishes, after=["Train"])]

    async def scenario() -> None:
        async with inside.running():
            depth = parameter("Depth", "String", "3")
            first = await inside.execute(*flow(), parameters=[depth])
            _, before = await inside.executed(first)
            _, after = await inside.executed(await inside.start("flow"))
            hit = {"SourcePipelineExecutionArn": first}
            assert (after["Train"]["CacheHitResult"], after["Evaluate"]["CacheHitResult"]) == (hit, hit)
            assert after["Train"]["Metadata"] == before["Train"]["Metadata"]
            assert "CacheHitResult" not in after["Other"]
            other = [{"Name": "Depth", "Value": "4"}]
            _, another = await inside.executed(await inside.start("flow", PipelineParameters=other))
            assert not [name for name, step in another.items() if "CacheHitResult" in step]
            # The newest run that succeeded by itself is taken, through an update of the definition, too.
            changed = pipeline_of("flow", *flow(exit="0"), parameters=[depth])
            asked = {name: changed[name] for name in ("PipelineName", "PipelineDefinition")}
            assert (await inside.call("UpdatePipeline", **asked))["PipelineVersionId"] == 2
            _, third = await inside.executed(await inside.start("flow"))
            assert third["Train"]["CacheHitResult"] == hit
            old = flow()
            old[0]["CacheConfig"] = {"Enabled": True, "ExpireAfter": "T0M"}
            changed = pipeline_of("flow", *old, parameters=[depth])
            await inside.call("UpdatePipeline", **{name: changed[name] for name in asked})
            _, expired = await inside.executed(await inside.start("flow"))
            assert "CacheHitResult" not in expired["Train"]

    run(scenario())


def test_a_step_is_tried_again_as_its_policy_says(inside):
    refused = iter(["ResourceLimitExceeded", "ResourceLimitExceeded"])
    policy = [{"ExceptionType": ["SageMaker.RESOURCE_LIMIT"], "IntervalSeconds": 1, "MaxAttempts": 3}]

    async def scenario() -> None:
        async with inside.faster(1000).running():
            ask = inside.roles.sagemaker

            def full(operation: str, request: Any) -> Any:
                code = next(refused, None) if operation == "CreateProcessingJob" else None
                if code:
                    raise ClientError({"Error": {"Code": code, "Message": "full"}}, operation)
                return ask(operation, request)

            inside.roles.sagemaker = full
            arn = await inside.execute(process_step("A", retries=policy))
            execution, steps = await inside.executed(arn)
            assert (execution["PipelineExecutionStatus"], steps["A"]["AttemptCount"]) == ("Succeeded", 3)

            inside.roles.sagemaker = lambda operation, request: full_for_ever(operation)
            await inside.call("CreatePipeline", **pipeline_of("none", process_step("A")))
            _, steps = await inside.executed(arn := await inside.start("none"))
            assert steps["A"]["FailureReason"] == (
                "ClientError: Failed to invoke sagemaker:CreateProcessingJob. Error Details: full\n"
                f"Retry not appropriate on execution of step with PipelineExecutionArn {arn} and StepId A. "
                "No retry policy configured for the exception type SAGEMAKER_RESOURCE_LIMIT."
            )

    def full_for_ever(operation: str) -> Any:
        raise ClientError({"Error": {"Code": "ResourceLimitExceeded", "Message": "full"}}, operation)

    run(scenario())


def test_a_step_that_is_tried_again_shows_the_job_that_runs_now(inside):
    policy = [{"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    shown: list[str] = []

    async def scenario() -> None:
        async with inside.faster(1000).running():
            ask = inside.roles.sagemaker

            def describe(operation: str, request: Any) -> Any:
                answer = ask(operation, request)
                if operation != "DescribeProcessingJob":
                    return answer
                (step,) = ask("ListPipelineExecutionSteps", {"PipelineExecutionArn": arn})["PipelineExecutionSteps"]
                shown.append(step["Metadata"]["ProcessingJob"]["Arn"])
                assert shown[-1] == answer["ProcessingJobArn"]
                first = {"ProcessingJobStatus": "Failed", "FailureReason": "InternalServerError: We encountered one."}
                return answer | (first if len(shown) == 1 else {})

            inside.roles.sagemaker = describe
            arn = await inside.execute(process_step("A", retries=policy))
            execution, steps = await inside.executed(arn)
        assert (execution["PipelineExecutionStatus"], steps["A"]["AttemptCount"]) == ("Succeeded", 2)
        assert len(set(shown)) == 2

    run(scenario())
