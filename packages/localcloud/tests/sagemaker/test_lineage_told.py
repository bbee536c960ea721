"""The lineage that SageMaker makes by itself, of jobs, packages and endpoints."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from localcloud.sagemaker.job_news import JobFacts
from localcloud.sagemaker.lineage_told import Tracking
from localcloud.sagemaker.tracked import Artifact, of_job

from .asked import (
    IMAGE,
    ROLE,
    job_of,
    make_archive,
    pipeline_of,
    processing_of,
    register_step,
    train_step,
    variant_of,
)
from .conftest import run

pytestmark = pytest.mark.e2e

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
ARCHIVE = "s3://jobs/out/t/output/model.tar.gz"
PACKAGE = f"{ARN}:model-package/g/1"
MODEL_OF_STEP = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
EXECUTION_ID = "Execution.PipelineExecutionId"


async def told(inside: Any, arn: str) -> str:
    """What an entity stands for, short: the source of an artifact, the type of another."""
    kind, _, name = arn.rpartition(":")[2].partition("/")
    if kind == "artifact":
        return (await inside.call("DescribeArtifact", ArtifactArn=arn))["Source"]["SourceUri"]
    if kind == "experiment-trial-component":
        return name
    return (await inside.call(f"Describe{kind.title()}", **{f"{kind.title()}Name": name}))[f"{kind.title()}Type"]


async def edges(inside: Any, start: str, direction: str = "Ascendants") -> set[tuple[str, str, str]]:
    """What a query finds, as source, association and destination."""
    answer = await inside.call("QueryLineage", StartArns=[start], Direction=direction, IncludeEdges=True)
    return {
        (await told(inside, one["SourceArn"]), one["AssociationType"], await told(inside, one["DestinationArn"]))
        for one in answer["Edges"]
    }


async def registered(inside: Any, archive: str = ARCHIVE) -> str:
    """Register a version of group `g`; answers its ARN."""
    container = {"Image": IMAGE, "ModelDataUrl": archive}
    types = {"SupportedContentTypes": ["a/b"], "SupportedResponseMIMETypes": ["a/b"]}
    asked = {"ModelPackageGroupName": "g", "InferenceSpecification": {"Containers": [container], **types}}
    return (await inside.call("CreateModelPackage", **asked))["ModelPackageArn"]


async def served(inside: Any, endpoint: str, model: str, package: str) -> str:
    """Serve a package by an endpoint, which is made or updated; answers the ARN of its context."""
    key = (await inside.call("DescribeModelPackage", ModelPackageName=package))["InferenceSpecification"]
    bucket, _, path = key["Containers"][0]["ModelDataUrl"].removeprefix("s3://").partition("/")
    inside.aws.objects[bucket, path] = make_archive(model)
    container = {"ModelPackageName": package}
    await inside.call("CreateModel", ModelName=model, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    await inside.config(model, variant_of("v", model))
    listed = (await inside.call("ListEndpoints"))["Endpoints"]
    await inside.call("UpdateEndpoint" if listed else "CreateEndpoint", EndpointName=endpoint, EndpointConfigName=model)
    assert (await inside.settled(endpoint))["EndpointStatus"] == "InService"
    (context,) = (await inside.call("ListContexts", SourceUri=f"{ARN}:endpoint/{endpoint}"))["ContextSummaries"]
    return context["ContextArn"]


async def component(inside: Any, name: str) -> dict[str, Any]:
    """A trial component, once its job's end has been told."""
    while True:
        found = await inside.call("DescribeTrialComponent", TrialComponentName=name)
        if found["Status"]["PrimaryStatus"] != "InProgress":
            return found
        await asyncio.sleep(0.01)


def test_from_an_endpoint_a_query_finds_all_that_led_to_it(inside):
    """Raw data, its preparation, the training, the model, the version with its approvals, the deployment."""
    inside.aws.objects["data", "raw/a.csv"] = b"1"

    async def scenario():
        async with inside.running():
            files = json.dumps({"processing/out/a.csv": "2"})
            await inside.call("CreateProcessingJob", **processing_of("p", ("raw",), files=files))
            assert (await inside.processed("p"))["ProcessingJobStatus"] == "Completed"
            await component(inside, "p-aws-processing-job")
            training = job_of("t", ("train",))
            training["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = "s3://jobs/p/out"
            await inside.call("CreateTrainingJob", **training)
            assert (await inside.over("t"))["TrainingJobStatus"] == "Completed"
            await component(inside, "t-aws-training-job")
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            package = await registered(inside)
            await inside.call("UpdateModelPackage", ModelPackageArn=package, ModelApprovalStatus="Approved")
            context = await served(inside, "e", "m", package)

            processing, trained = "p-aws-processing-job", "t-aws-training-job"
            assert await edges(inside, context) == {
                ("s3://data/raw", "ContributedTo", processing),
                (IMAGE, "ContributedTo", processing),
                (processing, "Produced", "s3://jobs/p/out"),
                ("s3://jobs/p/out", "ContributedTo", trained),
                (IMAGE, "ContributedTo", trained),
                (trained, "Produced", ARCHIVE),
                (ARCHIVE, "ContributedTo", PACKAGE),
                (IMAGE, "ContributedTo", PACKAGE),
                ("Approval", "ContributedTo", PACKAGE),
                (PACKAGE, "ContributedTo", "ModelDeployment"),
                (ARCHIVE, "ContributedTo", "ModelDeployment"),
                (IMAGE, "ContributedTo", "ModelDeployment"),
                ("ModelDeployment", "AssociatedWith", "Endpoint"),
            }
            (version,) = (await inside.call("ListArtifacts", SourceUri=package))["ArtifactSummaries"]
            assert version["ArtifactType"] == "Model"
            assert (PACKAGE, "AssociatedWith", "ModelGroup") in await edges(
                inside, version["ArtifactArn"], "Descendants"
            )
            actions = (await inside.call("ListActions", SourceUri=package))["ActionSummaries"]
            # In no order: both may be of one millisecond.
            names = sorted(re.sub(r"\d{10}", "TIME", one["ActionName"]) for one in actions)
            assert names == [f"g-1-{status}-TIME-aws-model-package" for status in ("Approved", "PendingManualApproval")]
            jobs = await inside.call(
                "QueryLineage",
                StartArns=[context],
                Direction="Ascendants",
                Filters={"LineageTypes": ["TrialComponent"], "Types": ["TrainingJob"]},
            )
            assert [vertex["Arn"] for vertex in jobs["Vertices"]] == [
                f"{ARN}:experiment-trial-component/t-aws-training-job"
            ]
            by_source = await inside.call("ListAssociations", SourceType="SageMakerTrainingJob")
            assert [one["DestinationType"] for one in by_source["AssociationSummaries"]] == ["Model"]

            before = await inside.call("ListAssociations", MaxResults=100)
        async with inside.running():
            assert (await inside.settled("e"))["EndpointStatus"] == "InService"
            after = await inside.call("ListAssociations", MaxResults=100)
            assert after == before, "a restart adds nothing"

    run(scenario())


def test_a_job_is_a_trial_component_with_its_parameters_and_artifacts(inside):
    inside.aws.objects["data", "train/a.csv"] = b"1"

    async def scenario():
        async with inside.running():
            request = job_of("Fit", ("train",), depth="3", kind="tree", rate="1e-3", most="inf", month="2024_01")
            request["InputDataConfig"][0]["ContentType"] = "text/csv"
            request["ExperimentConfig"] = {
                "ExperimentName": "Exp",
                "TrialName": "T",
                "TrialComponentDisplayName": "Run",
            }
            request["AlgorithmSpecification"]["MetricDefinitions"] = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}]
            request["HyperParameters"]["lines"] = json.dumps(["loss=0.5", "loss=0.25"])
            await inside.call("CreateTrainingJob", **request)
            job = await inside.over("Fit")
            found = await component(inside, "Fit-aws-training-job")
            assert found["Source"] == {"SourceArn": job["TrainingJobArn"], "SourceType": "SageMakerTrainingJob"}
            assert found["Status"] == {
                "PrimaryStatus": "Completed",
                "Message": "Status: Completed, secondary status: Completed, failure reason: .",
            }
            assert found["DisplayName"] == "Run"
            assert (found["StartTime"], found["EndTime"]) == (job["TrainingStartTime"], job["TrainingEndTime"])
            parameters = found["Parameters"]
            assert parameters["SageMaker.ImageUri"] == {"StringValue": IMAGE}
            assert parameters["SageMaker.InstanceType"] == {"StringValue": "ml.m5.large"}
            assert parameters["SageMaker.InstanceCount"] == {"NumberValue": 1}
            assert (parameters["depth"], parameters["rate"]) == ({"NumberValue": 3}, {"NumberValue": 0.001})
            words = {"kind": "tree", "most": "inf", "month": "2024_01"}
            assert {name: parameters[name] for name in words} == {n: {"StringValue": v} for n, v in words.items()}
            assert found["InputArtifacts"] == {"train": {"Value": "s3://data/train", "MediaType": "text/csv"}}
            archive = job["ModelArtifacts"]["S3ModelArtifacts"]
            assert found["OutputArtifacts"] == {"SageMaker.ModelArtifact": {"Value": archive}}
            (metric,) = found["Metrics"]
            assert metric.pop("TimeStamp") <= job["TrainingEndTime"]
            assert metric == {
                **{"MetricName": "loss", "SourceArn": job["TrainingJobArn"], "Count": 2},
                **{"Last": 0.25, "Min": 0.25, "Max": 0.5, "Avg": 0.375, "StdDev": 0.125},
            }
            listed = await inside.call("ListTrialComponents", ExperimentName="exp")
            assert [one["TrialComponentName"] for one in listed["TrialComponentSummaries"]] == ["Fit-aws-training-job"]
            by_job = await inside.call("ListTrialComponents", SourceArn=job["TrainingJobArn"])
            assert by_job == listed
            asked = {"Name": "Metrics.loss.max", "Operator": "GreaterThan", "Value": "0.4"}
            (record,) = (
                await inside.call("Search", Resource="ExperimentTrialComponent", SearchExpression={"Filters": [asked]})
            )["Results"]
            assert record["TrialComponent"]["Parents"] == [{"TrialName": "T", "ExperimentName": "Exp"}]
            assert record["TrialComponent"]["SourceDetail"]["TrainingJob"]["TrainingJobStatus"] == "Completed"

    run(scenario())


def test_a_job_that_fails_produces_nothing_and_says_why(inside):
    async def scenario():
        async with inside.running():
            lines = json.dumps(["Traceback:", "no memory"])
            await inside.call("CreateTrainingJob", **job_of("bad", exit="3", lines=lines))
            assert "Traceback:\nno memory" in (await inside.over("bad"))["FailureReason"]
            found = await component(inside, "bad-aws-training-job")
            assert found["Status"]["PrimaryStatus"] == "Failed"
            assert "Traceback: no memory" in found["Status"]["Message"], "AWS's service model takes one line"
            listed = await inside.call("ListAssociations", SourceArn=found["TrialComponentArn"])
            assert (listed["AssociationSummaries"], found["OutputArtifacts"]) == ([], {})

    run(scenario())


def test_what_somebody_made_or_added_is_taken_and_kept(inside):
    inside.aws.objects["data", "train/a.csv"] = b"1"
    digest = [{"SourceIdType": "Custom", "Value": "sha256:1"}]

    async def scenario():
        async with inside.running():
            source = {"SourceUri": "s3://data/train", "SourceTypes": digest}
            mine = await inside.call("CreateArtifact", ArtifactType="Flights", Source=source)
            stop = inside.bus.stop_at("Training")
            await inside.call("CreateTrainingJob", **job_of("t", ("train",)))
            async with stop:
                added = {"note": {"StringValue": "by hand"}}
                await inside.call(
                    "UpdateTrialComponent",
                    TrialComponentName="t-aws-training-job",
                    Parameters=added,
                    DisplayName="mine",
                )
            found = await component(inside, "t-aws-training-job")
            assert (found["Parameters"]["note"], found["DisplayName"]) == ({"StringValue": "by hand"}, "mine")
            (edge,) = (await inside.call("ListAssociations", SourceType="Flights"))["AssociationSummaries"]
            assert edge["SourceArn"] == mine["ArtifactArn"]
            assert len((await inside.call("ListArtifacts", SourceUri="s3://data/train"))["ArtifactSummaries"]) == 1

    run(scenario())


def test_each_deployment_is_an_action_of_one_endpoint(inside):
    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="g")
            contexts = set()
            for number in (1, 2):
                package = await registered(inside, f"s3://models/{number}.tar.gz")
                await inside.call("UpdateModelPackage", ModelPackageArn=package, ModelApprovalStatus="Approved")
                contexts.add(await served(inside, "e", f"m{number}", package))
            (context,) = contexts
            listed = await inside.call("ListAssociations", DestinationArn=context)
            deployments = listed["AssociationSummaries"]
            assert [one["SourceType"] for one in deployments] == ["ModelDeployment"] * 2
            wish = [{"VariantName": "v", "DesiredWeight": 2}]
            await inside.call("UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=wish)
            await inside.settled("e")
            again = await inside.call("ListAssociations", DestinationArn=context)
            assert again == listed, "weights make no deployment"
            groups = (await inside.call("ListContexts", ContextType="ModelGroup"))["ContextSummaries"]
            assert len(groups) == 1

    run(scenario())


def test_a_job_whose_end_was_never_told_is_told_at_the_next_start(inside, monkeypatch, caplog):
    kept = Tracking.job

    async def fails(self: Tracking, job: JobFacts) -> None:
        if job.over:
            raise OSError("killed")
        await kept(self, job)

    async def scenario():
        monkeypatch.setattr(Tracking, "job", fails)
        async with inside.running():
            await inside.call("CreateTrainingJob", **job_of("t"))
            await inside.over("t")
            stale = await inside.call("DescribeTrialComponent", TrialComponentName="t-aws-training-job")
            assert stale["Status"]["PrimaryStatus"] == "InProgress"
        monkeypatch.setattr(Tracking, "job", kept)
        async with inside.running():
            told_late = await inside.call("DescribeTrialComponent", TrialComponentName="t-aws-training-job")
            assert told_late["Status"]["PrimaryStatus"] == "Completed"
            assert len((await inside.call("ListArtifacts", ArtifactType="Model"))["ArtifactSummaries"]) == 1
            await inside.call("DeleteTrialComponent", TrialComponentName="t-aws-training-job")
        async with inside.running():
            assert (await inside.call("ListTrialComponents"))["TrialComponentSummaries"] == [], "deleted is deleted"

    run(scenario())


def test_the_steps_of_a_pipeline_are_a_trial_of_its_experiment(inside):
    request = pipeline_of("Flow", train_step("Train"), register_step("Register", MODEL_OF_STEP))
    definition = json.loads(request["PipelineDefinition"])
    of_execution = {"ExperimentName": {"Get": "Execution.PipelineName"}, "TrialName": {"Get": EXECUTION_ID}}
    request["PipelineDefinition"] = json.dumps({**definition, "PipelineExperimentConfig": of_execution})

    async def scenario():
        async with inside.running():
            await inside.call("CreateModelPackageGroup", ModelPackageGroupName="flights")
            await inside.call("CreatePipeline", **request)
            for _ in range(2):
                arn = await inside.start("Flow")
                execution, steps = await inside.executed(arn)
                assert execution["PipelineExecutionStatus"] == "Succeeded", steps
            job = steps["Train"]["Metadata"]["TrainingJob"]["Arn"]
            (listed,) = (await inside.call("ListTrialComponents", SourceArn=job))["TrialComponentSummaries"]
            asked = [{"Name": "Parents.TrialName", "Operator": "Equals", "Value": arn.rpartition("/")[2]}]
            results = await inside.call(
                "Search", Resource="ExperimentTrialComponent", SearchExpression={"Filters": asked}
            )
            (record,) = results["Results"]
            assert record["TrialComponent"]["TrialComponentName"] == listed["TrialComponentName"]
            assert record["TrialComponent"]["Parents"][0]["ExperimentName"] == "Flow"
            assert len((await inside.call("ListTrials", ExperimentName="flow"))["TrialSummaries"]) == 2
            package = steps["Register"]["Metadata"]["RegisterModel"]["Arn"]
            (version,) = (await inside.call("ListArtifacts", SourceUri=package))["ArtifactSummaries"]
            above = await inside.call(
                "QueryLineage",
                StartArns=[version["ArtifactArn"]],
                Direction="Ascendants",
                Filters={"Types": ["TrainingJob"]},
            )
            assert [one["Arn"] for one in above["Vertices"]] == [listed["TrialComponentArn"]]
            for resource, name, value in (
                ("Pipeline", "PipelineName", "Flow"),
                ("PipelineExecution", "PipelineExecutionArn", arn),
            ):
                found = {"Filters": [{"Name": name, "Operator": "Equals", "Value": value}]}
                (record,) = (await inside.call("Search", Resource=resource, SearchExpression=found))["Results"]
                assert record[resource]["PipelineArn"] == arn.partition("/execution/")[0]

    run(scenario())


def test_what_sagemaker_makes_is_not_counted(inside):
    async def scenario():
        async with inside.running():
            made = inside.service._store._documents.setdefault("artifact", {})
            made |= {
                f"of-service-{number}": {"ByService": True, "Source": {"SourceUri": "u"}} for number in range(6000)
            }
            await inside.call("CreateArtifact", ArtifactType="Model", Source={"SourceUri": "s3://b/k"})

    run(scenario())


def test_an_address_that_is_too_long_for_an_artifact_is_left_out():
    facts = JobFacts(
        *("training-job", "t", f"{ARN}:training-job/t", "Completed", IMAGE, ROLE),
        inputs={"short": "s3://b/k", "same": "s3://b/k", "long": f"s3://b/{'k' * 2048}"},
        outputs={"model": ARCHIVE},
        parameters={str(number): "x" for number in range(400)},
        environment={},
        experiment={},
        tags={},
        times={},
        document={},
    )
    tracked = of_job(facts)
    sources = [link.source for link in tracked.links if link.type == "ContributedTo"]
    assert sources == [Artifact(IMAGE, "Image"), Artifact("s3://b/k", "DataSet")]
    members = tracked.subject.members  # pyrefly: ignore
    assert (list(members["InputArtifacts"]), len(members["Parameters"])) == (["short", "same"], 300)
