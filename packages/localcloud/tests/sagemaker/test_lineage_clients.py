"""The lineage that a real local cloud makes by itself, as AWS's SDKs read it, and after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .asked import IMAGE, ROLE, make_archive, variant_of
from .clients import eventually, run_sdk
from .test_training_clients import request, role_of

pytestmark = pytest.mark.e2e

LINEAGE_BY_SDK = Path(__file__).with_name("lineage_by_sdk.py")


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
    run_sdk(own_stage, LINEAGE_BY_SDK, json.dumps(told))
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
