"""The lineage that a real local cloud makes by itself, as AWS's SDKs read it, and after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .asked import IMAGE, ROLE, make_archive, variant_of
from .test_clients import environment, eventually
from .test_training_clients import request, role_of

pytestmark = pytest.mark.e2e


def released(stage: Any) -> dict[str, str]:
    """Train a model, register it, approve it and serve it; answers what is called how."""
    sagemaker, job, group = stage.sagemaker, stage.name("fit"), stage.name("group")
    experiment = {"ExperimentName": stage.name("experiment"), "TrialName": stage.name("trial")}
    sagemaker.create_training_job(**request(stage, role_of(stage), "fit", depth="3"), ExperimentConfig=experiment)
    archive = stage.over(job)["ModelArtifacts"]["S3ModelArtifacts"]
    eventually(lambda: sagemaker.list_artifacts(SourceUri=archive)["ArtifactSummaries"])
    bucket, _, key = archive.removeprefix("s3://").partition("/")
    stage.s3.put_object(Bucket=bucket, Key=key, Body=make_archive("served"))
    sagemaker.create_model_package_group(ModelPackageGroupName=group)
    package = sagemaker.create_model_package(
        ModelPackageGroupName=group,
        InferenceSpecification={
            "Containers": [{"Image": IMAGE, "ModelDataUrl": archive}],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
    )["ModelPackageArn"]
    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    name = stage.name("served")
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"ModelPackageName": package})
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant_of("v", name)])
    endpoint = sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)["EndpointArn"]
    assert stage.settled(name)["EndpointStatus"] == "InService"
    data = f"s3://{stage.bucket}/{stage.prefix}/train"
    return {"job": job, "archive": archive, "package": package, "endpoint": endpoint, "data": data, "group": group}


def test_the_sagemaker_sdk_reads_the_lineage_that_the_cloud_makes_and_a_kill_loses_nothing(own_stage):
    told = released(own_stage)
    program = f"""
        import json
        import re

        from sagemaker.core.experiments.run import Run
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.lineage.action import ModelPackageApprovalAction
        from sagemaker.core.lineage.artifact import DatasetArtifact, ModelArtifact
        from sagemaker.core.lineage.context import Context, EndpointContext
        from sagemaker.core.lineage.lineage_trial_component import LineageTrialComponent
        from sagemaker.core.lineage.query import (
            LineageEntityEnum, LineageFilter, LineageQuery, LineageQueryDirectionEnum, LineageSourceEnum,
        )
        from sagemaker.core.lineage.visualizer import LineageTableVisualizer
        from sagemaker.core.resources import Artifact, TrialComponent

        told = json.loads({json.dumps(json.dumps(told))})
        session = Session()
        up, down = LineageQueryDirectionEnum.ASCENDANTS, LineageQueryDirectionEnum.DESCENDANTS

        # As AWS's notebook on multi-hop queries asks, and with its answers.
        (listed,) = Context.list(source_uri=told["endpoint"], sagemaker_session=session)
        endpoint = EndpointContext.load(context_name=listed.context_name, sagemaker_session=session)
        assert [one.source.source_uri for one in endpoint.dataset_artifacts()] == [told["data"]]
        assert [arn.rpartition("/")[2] for arn in endpoint.training_job_arns()] == [told["job"]]
        models = LineageQuery(session).query(
            start_arns=[endpoint.context_arn], direction=up, include_edges=False,
            query_filter=LineageFilter(entities=[LineageEntityEnum.ARTIFACT], sources=[LineageSourceEnum.MODEL]),
        )
        found = {{vertex.to_lineage_object().source.source_uri for vertex in models.vertices}}
        assert found == {{told["package"], told["archive"]}}

        # As the SDK's own integration tests walk from a version to its data, and to its approvals and endpoints.
        (summary,) = ModelArtifact.list(source_uri=told["package"], sagemaker_session=session)
        version = ModelArtifact.load(artifact_arn=summary.artifact_arn, sagemaker_session=session)
        assert [one.context_name for one in version.endpoint_contexts()] == [endpoint.context_name]
        assert [one.source.source_uri for one in version.dataset_artifacts()] == [told["data"]]
        approvals = LineageQuery(session).query(
            start_arns=[endpoint.context_arn], direction=up, include_edges=False,
            query_filter=LineageFilter(entities=[LineageEntityEnum.ACTION], sources=[LineageSourceEnum.APPROVAL]),
        )
        assert len(approvals.vertices) == 2
        approval = ModelPackageApprovalAction.load(
            action_name=approvals.vertices[0].arn.split("/")[1], sagemaker_session=session
        )
        assert [one.source.source_uri for one in approval.endpoints()] == [told["endpoint"]]
        assert approval.source.source_uri == told["package"]
        component = LineageTrialComponent.load(
            trial_component_name=told["job"] + "-aws-training-job", sagemaker_session=session
        )
        assert {{one.source.source_uri for one in component.models()}} == {{told["archive"], told["package"]}}
        (data,) = DatasetArtifact.list(source_uri=told["data"], sagemaker_session=session)
        data = DatasetArtifact.load(artifact_arn=data.artifact_arn, sagemaker_session=session)
        assert [one.context_name for one in data.endpoint_contexts()] == [endpoint.context_name]

        # The table that AWS's notebooks show of a registered version.
        table = LineageTableVisualizer(session).show(model_package_arn=told["package"])
        rows = {{(row[1], row[2], row[3], row[4]) for row in table.values.tolist()}}
        assert rows == {{
            ("Input", "Model", "ContributedTo", "artifact"),
            ("Input", "Image", "ContributedTo", "artifact"),
            ("Input", "Approval", "ContributedTo", "action"),
            ("Output", "ModelDeployment", "ContributedTo", "action"),
            ("Output", "ModelGroup", "AssociatedWith", "context"),
        }}, rows
        table = LineageTableVisualizer(session).show(training_job_name=told["job"])
        assert [(row[1], row[2], row[3]) for row in table.values.tolist() if row[1] == "Output"] == [
            ("Output", "Model", "Produced")
        ]

        # The classes that are generated of AWS's service model.
        described = TrialComponent.get(trial_component_name=told["job"] + "-aws-training-job")
        assert described.status.primary_status == "Completed"
        assert described.parameters["depth"].number_value == 3
        assert described.output_artifacts["SageMaker.ModelArtifact"].value == told["archive"]
        assert Artifact.get(artifact_arn=version.artifact_arn).artifact_type == "Model"

        # A run of an experiment, made, loaded again and searched.
        for _ in range(2):
            with Run(experiment_name=told["group"], run_name="by-hand", sagemaker_session=session) as run:
                run.log_parameter("rate", 0.5)
        runs = run._experiment.list_trials()
        assert len(list(runs)) == 1
        print("done")
    """
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        env=environment(own_stage),
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("done\n")
    before = everything(own_stage)
    own_stage.cloud.kill()
    own_stage.cloud.start()
    assert own_stage.settled(told["endpoint"].rpartition("/")[2])["EndpointStatus"] == "InService"
    assert everything(own_stage) == before


def everything(stage: Any) -> list[Any]:
    """All that is associated, and all components."""
    kinds = {"list_associations": "AssociationSummaries", "list_trial_components": "TrialComponentSummaries"}
    return [getattr(stage.sagemaker, operation)(MaxResults=100)[member] for operation, member in kinds.items()]


def test_experiments_need_rights_on_each_of_their_parts(stage):
    experiment, trial = stage.name("e"), stage.name("t")
    stage.sagemaker.create_experiment(ExperimentName=experiment)
    arn = "arn:aws:sagemaker:us-east-1:000000000000"
    allowed = [
        {"Effect": "Allow", "Action": "sagemaker:CreateTrial", "Resource": f"{arn}:experiment-trial/{trial}"},
        {"Effect": "Allow", "Action": "sagemaker:ListTrials", "Resource": "*"},
    ]
    user, iam = stage.name("of-experiments"), stage.cloud.client("iam")
    iam.create_user(UserName=user)

    def allow() -> None:
        policy = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        iam.put_user_policy(UserName=user, PolicyName="p", PolicyDocument=policy)

    allow()
    key = iam.create_access_key(UserName=user)["AccessKey"]
    theirs = stage.cloud.client("sagemaker", key["AccessKeyId"], key["SecretAccessKey"])
    with pytest.raises(ClientError, match=rf"AccessDenied.*sagemaker:CreateTrial.*experiment/{experiment}"):
        theirs.create_trial(TrialName=trial, ExperimentName=experiment)
    with pytest.raises(ClientError, match=r"AccessDenied.*sagemaker:Search"):
        theirs.search(Resource="ExperimentTrial")
    allowed[0]["Resource"] = [allowed[0]["Resource"], f"{arn}:experiment/{experiment}"]
    allow()
    theirs.create_trial(TrialName=trial, ExperimentName=experiment)
    assert theirs.list_trials(ExperimentName=experiment)["TrialSummaries"][0]["TrialName"] == trial
