"""Pipelines as they are asked for: made, changed, listed, started, deleted, refused."""

from __future__ import annotations

import pytest

from localcloud.sagemaker.service_models import service_model

from .asked import (
    ROLE,
    callback_step,
    fail_step,
    parameter,
    pipeline_of,
    token,
)
from .conftest import Failure, failure, run

pytestmark = pytest.mark.e2e


def test_a_pipeline_is_kept_in_versions(inside):
    async def scenario() -> None:
        async with inside.running():
            first = pipeline_of("a", fail_step("A", "one"))
            made = await inside.call("CreatePipeline", **first, Tags=[{"Key": "team", "Value": "flights"}])
            assert await inside.call("CreatePipeline", **first) == made
            taken = await failure(inside.call("CreatePipeline", **{**first, **token()}))
            assert (taken.code, "already exists" in taken.message) == ("ValidationException", True)
            second = pipeline_of("a", fail_step("A", "two"))["PipelineDefinition"]
            inside.aws.objects["definitions", "two.json"] = second.encode()
            where = {"Bucket": "definitions", "ObjectKey": "two.json"}
            updated = {"PipelineName": "a", "PipelineDefinitionS3Location": where, "PipelineDescription": "second"}
            assert (await inside.call("UpdatePipeline", **updated))["PipelineVersionId"] == 2
            renamed = await inside.call("UpdatePipeline", PipelineName="a", PipelineDisplayName="A")
            assert renamed["PipelineVersionId"] == 2
            arn = made["PipelineArn"]
            named = {"PipelineVersionDisplayName": "first", "PipelineVersionId": 1}
            await inside.call("UpdatePipelineVersion", PipelineArn=arn, **named)
            now = await inside.call("DescribePipeline", PipelineName=arn)
            assert (now["PipelineDisplayName"], now["PipelineDescription"]) == ("A", "second")
            assert now["PipelineDefinition"] == second
            then = await inside.call("DescribePipeline", PipelineName="a", PipelineVersionId=1)
            assert then["PipelineDefinition"] == first["PipelineDefinition"]
            assert then["PipelineVersionDisplayName"] == "first"
            assert (await inside.call("ListTags", ResourceArn=arn))["Tags"] == [{"Key": "team", "Value": "flights"}]
            execution = await inside.start("a", PipelineVersionId=1)
            _, steps = await inside.executed(execution)
            assert steps["A"]["FailureReason"] == "one"
            ran = await inside.call("DescribePipelineDefinitionForExecution", PipelineExecutionArn=execution)
            assert ran["PipelineDefinition"] == then["PipelineDefinition"]
            (newest, one) = (await inside.call("ListPipelineVersions", PipelineName="a"))["PipelineVersionSummaries"]
            assert (newest["PipelineVersionId"], one["LastExecutionPipelineExecutionArn"]) == (2, execution)

    run(scenario())


def test_pipelines_and_their_executions_are_listed_and_deleted_together(inside):
    async def scenario() -> None:
        async with inside.running():
            await inside.call("CreatePipeline", **pipeline_of("a", fail_step("A", "x")))
            await inside.call("CreatePipeline", **pipeline_of("ab", fail_step("A", "x")))
            listed = await inside.call("ListPipelines", PipelineNamePrefix="a", SortBy="Name", SortOrder="Ascending")
            assert [one["PipelineName"] for one in listed["PipelineSummaries"]] == ["a", "ab"]
            first = await inside.start("a")
            await inside.executed(first)
            once = token()
            again = await inside.start("a", **once)
            assert await inside.start("a", **once) == again
            await inside.executed(again)
            asked = {"PipelineName": "a", "MaxResults": 1}
            page = await inside.call("ListPipelineExecutions", **asked)
            rest = await inside.call("ListPipelineExecutions", **asked, NextToken=page["NextToken"])
            pages = [
                [one["PipelineExecutionArn"] for one in page["PipelineExecutionSummaries"]] for page in (page, rest)
            ]
            assert pages == [[again], [first]]
            await inside.call("DeletePipeline", PipelineName="a", **token())
            for operation, asked in {
                "DescribePipeline": {"PipelineName": "a"},
                "DescribePipelineExecution": {"PipelineExecutionArn": first},
                "ListPipelineExecutionSteps": {"PipelineExecutionArn": first},
            }.items():
                assert (await failure(inside.call(operation, **asked))).code == "ResourceNotFound"

    run(scenario())


def test_a_pipeline_that_is_executed_is_not_deleted(inside):
    async def scenario() -> None:
        async with inside.running():
            arn = await inside.execute(callback_step("Ask", {}))
            refused = await failure(inside.call("DeletePipeline", PipelineName="flow", **token()))
            assert refused.code == "ConflictException"
            assert arn in refused.message

    run(scenario())


@pytest.mark.parametrize(
    ("start", "why"),
    [
        ({}, "Parameter Rows has no DefaultValue, and no value was given."),
        ({"Rows": "many"}, "Parameter Rows is of type Integer, not 'many'."),
        ({"Rows": "1_000"}, "Parameter Rows is of type Integer, not '1_000'."),
        ({"Rows": "1", "Stage": "test"}, "Parameter Stage is one of dev, prod, not 'test'."),
        ({"Rows": "1", "Other": "1"}, "Parameter Other is not one of the pipeline's: Rows, Stage."),
    ],
)
def test_an_execution_needs_a_good_value_for_each_parameter(inside, start, why):
    parameters = [parameter("Rows", "Integer"), {**parameter("Stage", "String", "dev"), "EnumValues": ["dev", "prod"]}]
    given = [{"Name": name, "Value": value} for name, value in start.items()]

    async def scenario() -> None:
        async with inside.running():
            await inside.call("CreatePipeline", **pipeline_of("flow", fail_step("A", "x"), parameters=parameters))
            refused = await failure(inside.start("flow", PipelineParameters=given))
            assert refused.message == why
            executions = await inside.call("ListPipelineExecutions", PipelineName="flow")
            assert executions["PipelineExecutionSummaries"] == []

    run(scenario())


def test_every_operation_of_pipelines_and_processing_jobs_is_there(inside):
    every = service_model("sagemaker").metadata["operations"]
    names = [name for name in every if "Pipeline" in name or name.endswith(("ProcessingJob", "ProcessingJobs"))]

    async def scenario() -> None:
        async with inside.running():
            for name in names:
                try:
                    await inside.call(name)
                except Failure as refused:
                    assert refused.code != "UnknownOperationException", name
        assert len(names) == 23

    run(scenario())


def test_a_role_that_does_not_trust_sagemaker_is_refused(inside):
    async def scenario() -> None:
        async with inside.running():
            wanted = pipeline_of("flow", fail_step("A", "x"), role=f"{ROLE}-none")
            refused = await failure(inside.call("CreatePipeline", **wanted))
            assert refused.message.startswith(f"Could not assume role {ROLE}-none.")

    run(scenario())
