"""Experiments, trials and trial components: what is made, grouped, listed, changed and refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .conftest import failure, run

ARN = "arn:aws:sagemaker:us-east-1:000000000000"


async def grouped(inside: Any) -> None:
    """Experiment `E` of trials `T1` and `T2`; of components `a` and `b`, `a` is in both trials."""
    await inside.call("CreateExperiment", ExperimentName="E", Description="all")
    for trial in ("T1", "T2"):
        await inside.call("CreateTrial", TrialName=trial, ExperimentName="e")
    for component in ("a", "b"):
        await inside.call("CreateTrialComponent", TrialComponentName=component)
    for component, trial in (("a", "T1"), ("a", "t2"), ("b", "T1")):
        await inside.call("AssociateTrialComponent", TrialComponentName=component, TrialName=trial)


async def components(inside: Any, **asked: Any) -> list[str]:
    listed = await inside.call("ListTrialComponents", SortBy="Name", SortOrder="Ascending", **asked)
    return [one["TrialComponentName"] for one in listed["TrialComponentSummaries"]]


def test_components_are_in_trials_and_trials_in_an_experiment(inside):
    async def scenario():
        async with inside.running():
            await grouped(inside)
            assert await components(inside) == await components(inside, ExperimentName="E") == ["a", "b"]
            assert await components(inside, TrialName="T2") == ["a"]
            listed = await inside.call("ListTrials", TrialComponentName="a", SortBy="Name")
            assert [one["TrialName"] for one in listed["TrialSummaries"]] == ["T2", "T1"]
            trial = await inside.call("DescribeTrial", TrialName="t1")
            assert (trial["TrialName"], trial["ExperimentName"], trial["TrialArn"]) == (
                *("T1", "E"),
                f"{ARN}:experiment-trial/t1",
            )
            await inside.call("UpdateExperiment", ExperimentName="e", DisplayName="Every-one")
            experiment = await inside.call("DescribeExperiment", ExperimentName="E")
            assert (experiment["ExperimentName"], experiment["DisplayName"], experiment["Description"]) == (
                *("E", "Every-one"),
                "all",
            )
        async with inside.running():
            assert await components(inside, ExperimentName="E") == ["a", "b"], "after a restart"

    run(scenario())


def test_what_is_still_used_is_not_deleted(inside):
    async def scenario():
        async with inside.running():
            await grouped(inside)
            for operation, name, reason in (
                ("DeleteExperiment", {"ExperimentName": "E"}, "still has trials"),
                ("DeleteTrial", {"TrialName": "T1"}, "still has trial components"),
                ("DeleteTrialComponent", {"TrialComponentName": "a"}, "still associated with T1, T2"),
            ):
                assert reason in (await failure(inside.call(operation, **name))).message
            for component, trial in (("a", "T1"), ("a", "T2"), ("b", "T1"), ("b", "T2")):
                await inside.call("DisassociateTrialComponent", TrialComponentName=component, TrialName=trial)
            artifact = await inside.call("CreateArtifact", ArtifactType="DataSet", Source={"SourceUri": "s3://b/k"})
            component = f"{ARN}:experiment-trial-component/a"
            await inside.call("AddAssociation", SourceArn=artifact["ArtifactArn"], DestinationArn=component)
            for name in ("a", "b"):
                await inside.call("DeleteTrialComponent", TrialComponentName=name)
            await inside.call("DeleteArtifact", **artifact)  # nothing is associated with it any more
            for trial in ("T1", "T2"):
                await inside.call("DeleteTrial", TrialName=trial)
            await inside.call("DeleteExperiment", ExperimentName="E")
            gone = await failure(inside.call("DescribeExperiment", ExperimentName="E"))
            assert (gone.code, gone.message) == ("ResourceNotFound", f"Experiment {ARN}:experiment/e does not exist.")

    run(scenario())


def test_an_update_adds_replaces_and_removes_parameters_and_artifacts(inside):
    async def scenario():
        async with inside.running():
            await inside.call(
                "CreateTrialComponent",
                TrialComponentName="c",
                Parameters={"rate": {"NumberValue": 0.1}, "kind": {"StringValue": "x"}},
                InputArtifacts={"train": {"Value": "s3://b/1", "MediaType": "text/csv"}},
                Status={"PrimaryStatus": "InProgress"},
                Tags=[{"Key": "team", "Value": "a"}],
            )
            await inside.call(
                "UpdateTrialComponent",
                TrialComponentName="C",
                Parameters={"rate": {"NumberValue": 0.2}, "more": {"StringValue": "y"}},
                ParametersToRemove=["kind", "none"],
                OutputArtifacts={"model": {"Value": "s3://b/2"}},
                Status={"PrimaryStatus": "Completed"},
                EndTime=2,
            )
            described = await inside.call(
                "DescribeTrialComponent", TrialComponentName=f"{ARN}:experiment-trial-component/c"
            )
            assert described["Parameters"] == {"rate": {"NumberValue": 0.2}, "more": {"StringValue": "y"}}
            assert described["InputArtifacts"] == {"train": {"Value": "s3://b/1", "MediaType": "text/csv"}}
            assert described["OutputArtifacts"] == {"model": {"Value": "s3://b/2"}}
            assert (described["Status"], described["EndTime"]) == ({"PrimaryStatus": "Completed"}, 2)
            assert described["DisplayName"] == "c"
            assert described["LastModifiedTime"] >= described["CreationTime"]
            tags = await inside.call("ListTags", ResourceArn=described["TrialComponentArn"])
            assert tags["Tags"] == [{"Key": "team", "Value": "a"}]

    run(scenario())


@pytest.mark.parametrize(
    ("operation", "request_", "code", "message"),
    [
        (
            "CreateExperiment",
            {"ExperimentName": "e"},
            "ValidationException",
            f"Experiment {ARN}:experiment/e already exists",
        ),
        (
            "CreateTrial",
            {"TrialName": "t3", "ExperimentName": "none"},
            "ResourceNotFound",
            "experiment/none does not exist",
        ),
        ("CreateTrial", {"TrialName": "t1", "ExperimentName": "E"}, "ValidationException", "already exists"),
        ("CreateTrialComponent", {"TrialComponentName": "A"}, "ValidationException", "already exists"),
        (
            "CreateTrialComponent",
            {"TrialComponentName": "n", "Parameters": {"p": {"StringValue": "1", "NumberValue": 1}}},
            "ValidationException",
            "Parameter p must have either a StringValue or a NumberValue",
        ),
        ("CreateExperiment", {"ExperimentName": "no_such"}, "ValidationException", "regular expression pattern"),
        (
            "ListTrialComponents",
            {"ExperimentName": "E", "SourceArn": f"{ARN}:training-job/j"},
            "ValidationException",
            "takes one of them",
        ),
        ("ListTrialComponents", {"TrialName": "none"}, "ResourceNotFound", "experiment-trial/none does not exist"),
        ("ListTrials", {"ExperimentName": "none"}, "ResourceNotFound", "experiment/none does not exist"),
        (
            "AssociateTrialComponent",
            {"TrialComponentName": "none", "TrialName": "T1"},
            "ResourceNotFound",
            "experiment-trial-component/none does not exist",
        ),
        ("DescribeLineageGroup", {"LineageGroupName": "own"}, "ResourceNotFound", "lineage-group/own does not exist"),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused(inside, operation, request_, code, message):
    async def scenario():
        async with inside.running():
            await grouped(inside)
            refused = await failure(inside.call(operation, **request_))
            assert refused.code == code
            assert message in refused.message

    run(scenario())


def test_lists_page_newest_first(inside):
    async def scenario():
        async with inside.running():
            for number in range(12):
                await inside.call("CreateExperiment", ExperimentName=f"e{number}")
                await asyncio.sleep(0.002)  # times are told in milliseconds, and two of one have no order
            first = await inside.call("ListExperiments")
            rest = await inside.call("ListExperiments", NextToken=first["NextToken"])
            names = [one["ExperimentName"] for page in (first, rest) for one in page["ExperimentSummaries"]]
            assert names == [f"e{number}" for number in reversed(range(12))]
            assert (await inside.call("ListExperiments", CreatedBefore=1))["ExperimentSummaries"] == []

    run(scenario())


def test_an_account_has_one_lineage_group_without_a_policy(inside):
    async def scenario():
        async with inside.running():
            (group,) = (await inside.call("ListLineageGroups"))["LineageGroupSummaries"]
            assert group["LineageGroupArn"] == f"{ARN}:lineage-group/sagemaker-default-lineage-group"
            described = await inside.call("DescribeLineageGroup", LineageGroupName=group["LineageGroupName"])
            assert described["CreationTime"] == group["CreationTime"]
            policy = await inside.call("GetLineageGroupPolicy", LineageGroupName=group["LineageGroupArn"])
            assert policy == {"LineageGroupArn": group["LineageGroupArn"], "ResourcePolicy": "{}"}
        async with inside.running():
            (again,) = (await inside.call("ListLineageGroups"))["LineageGroupSummaries"]
            assert again == group

    run(scenario())
