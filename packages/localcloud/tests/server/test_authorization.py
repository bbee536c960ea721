"""What a request to one of our own services is called in IAM."""

from __future__ import annotations

import pytest

from localcloud.server import authorization, requests

REGION, ACCOUNT = "us-east-1", "000000000000"


def test_invoke_endpoint_names_the_endpoint_of_its_path_in_lower_case():
    request = requests.read("sagemaker", requests.Sent("POST", "/endpoints/Orders/invocations", {}, b"\x00binary", {}))

    assert request.action == "InvokeEndpoint"
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint/orders"
    ]


def test_update_endpoint_acts_on_the_endpoint_and_on_its_config():
    request = requests.Request("UpdateEndpoint", {"EndpointConfigName": "Pair", "EndpointName": "E"})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/pair",
    ]


def test_a_list_acts_on_everything():
    request = requests.Request("ListModelPackages", {"ModelPackageGroupName": "g"})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == ["*"]


def test_a_package_named_by_its_arn_keeps_it():
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model-package/Group/1"
    request = requests.Request("DescribeModelPackage", {"ModelPackageName": arn})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [arn]


@pytest.mark.parametrize(
    ("action", "members", "resources"),
    [
        ("CreateArtifact", {"ArtifactName": "data", "Source": {"SourceUri": "s3://b/k"}}, ["artifact/*"]),
        ("DeleteArtifact", {"Source": {"SourceUri": "s3://b/k"}}, ["artifact/*"]),
        ("UpdateArtifact", {"ArtifactArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:artifact/a1"}, ["artifact/a1"]),
        ("CreateAction", {"ActionName": "Fit", "Source": {"SourceUri": "s3://b/k"}}, ["action/fit"]),
        ("DescribeContext", {"ContextName": "e"}, ["context/e"]),
        (
            "AddAssociation",
            {
                "SourceArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:artifact/a1",
                "DestinationArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:context/e",
            },
            ["artifact/a1", "context/e"],
        ),
    ],
)
def test_a_lineage_request_acts_on_its_entities(action, members, resources):
    request = requests.Request(action, members)
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{one}" for one in resources
    ]


EXECUTION = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/flow/execution/e1"


@pytest.mark.parametrize(
    ("action", "members", "resources"),
    [
        ("StartPipelineExecution", {"PipelineName": "Flow"}, ["pipeline/flow"]),
        ("StopPipelineExecution", {"PipelineExecutionArn": EXECUTION}, ["pipeline/flow/execution/e1"]),
        ("ListPipelineExecutionSteps", {"PipelineExecutionArn": EXECUTION}, ["pipeline/flow/execution/e1"]),
        ("ListPipelineExecutions", {"PipelineName": "flow"}, ["pipeline/flow"]),
        ("SendPipelineExecutionStepSuccess", {"CallbackToken": "0123456789"}, ["pipeline/*"]),
        ("StopProcessingJob", {"ProcessingJobName": "p"}, ["processing-job/p"]),
        ("CreateTrial", {"ExperimentName": "e", "TrialName": "t"}, ["experiment-trial/t", "experiment/e"]),
    ],
)
def test_a_request_acts_first_on_what_it_makes_changes_or_runs(action, members, resources):
    request = requests.Request(action, members)
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{one}" for one in resources
    ]


def test_all_pipelines_are_listed_by_who_may_list_everything():
    assert authorization.sagemaker_resources(requests.Request("ListPipelines"), REGION, ACCOUNT) == ["*"]


def test_a_request_needs_rights_beside_its_own_to_tag_to_read_and_to_pass_a_role():
    tagged = requests.Request("CreateProcessingJob", {"Tags": [{"Key": "a", "Value": "b"}], "RoleArn": "arn:r"})
    assert authorization.needed_beside("sagemaker", tagged, ["arn:j"]) == [("sagemaker:AddTags", "arn:j")]
    assert authorization.needed_beside("sagemaker", requests.Request("CreateModel"), ["arn:m"]) == []
    place = {"PipelineDefinitionS3Location": {"Bucket": "b", "ObjectKey": "k"}, "RoleArn": "arn:r"}
    update = requests.Request("UpdatePipeline", place)
    assert authorization.needed_beside("sagemaker", update, ["arn:p"]) == [("s3:GetObject", "arn:aws:s3:::b/k")]
    assert authorization.passed_roles(update) == authorization.passed_roles(tagged) == ["arn:r"]


def test_a_query_of_lineage_acts_on_everything():
    request = requests.Request("QueryLineage", {"StartArns": [f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:context/e"]})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == ["*"]


def test_a_dashboard_has_no_region_in_its_arn():
    request = requests.Request("PutDashboard", {"DashboardName": "orders"})
    assert authorization.cloudwatch_resources(request, REGION, ACCOUNT) == [
        "arn:aws:cloudwatch::000000000000:dashboard/orders"
    ]
