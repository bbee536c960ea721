"""What a request to one of our own services is called in IAM."""

from __future__ import annotations

import json

import pytest

from localcloud.server import authorization

REGION, ACCOUNT = "us-east-1", "000000000000"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_invoke_endpoint_names_the_endpoint_of_its_path_in_lower_case():
    request = authorization.read("/endpoints/Orders/invocations", {}, b"\x00binary", {})
    assert request is not None
    assert request.action == "InvokeEndpoint"
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint/orders"
    ]


def test_update_endpoint_acts_on_the_endpoint_and_on_its_config():
    body = json.dumps({"EndpointConfigName": "Pair", "EndpointName": "E"}).encode()
    request = authorization.read("/", {"x-amz-target": "SageMaker.UpdateEndpoint"}, body, {})
    assert request is not None
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e",
        "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/pair",
    ]


def test_a_list_acts_on_everything():
    request = authorization.Request("ListModelPackages", {"ModelPackageGroupName": "g"})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == ["*"]


def test_a_package_named_by_its_arn_keeps_it():
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model-package/Group/1"
    request = authorization.Request("DescribeModelPackage", {"ModelPackageName": arn})
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
    request = authorization.Request(action, members)
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
    request = authorization.Request(action, members)
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == [
        f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{one}" for one in resources
    ]


def test_all_pipelines_are_listed_by_who_may_list_everything():
    assert authorization.sagemaker_resources(authorization.Request("ListPipelines"), REGION, ACCOUNT) == ["*"]


def test_a_request_needs_rights_beside_its_own_to_tag_to_read_and_to_pass_a_role():
    tagged = authorization.Request("CreateProcessingJob", {"Tags": [{"Key": "a", "Value": "b"}], "RoleArn": "arn:r"})
    assert authorization.needed_beside("sagemaker", tagged, ["arn:j"]) == [("sagemaker:AddTags", "arn:j")]
    assert authorization.needed_beside("sagemaker", authorization.Request("CreateModel"), ["arn:m"]) == []
    place = {"PipelineDefinitionS3Location": {"Bucket": "b", "ObjectKey": "k"}, "RoleArn": "arn:r"}
    update = authorization.Request("UpdatePipeline", place)
    assert authorization.needed_beside("sagemaker", update, ["arn:p"]) == [("s3:GetObject", "arn:aws:s3:::b/k")]
    assert authorization.passed_roles(update) == authorization.passed_roles(tagged) == ["arn:r"]


def test_a_query_of_lineage_acts_on_everything():
    request = authorization.Request("QueryLineage", {"StartArns": [f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:context/e"]})
    assert authorization.sagemaker_resources(request, REGION, ACCOUNT) == ["*"]


@pytest.mark.parametrize(
    ("path", "headers", "body", "parameters"),
    [
        ("/", FORM, b"", {"Action": ["DeleteAlarms"], "AlarmNames.member.1": ["a"], "AlarmNames.member.2": ["b"]}),
        ("/", FORM, b"Action=DeleteAlarms&AlarmNames.member.1=a&AlarmNames.member.2=b", {}),
        ("/", FORM, b"Action=DeleteAlarms&AlarmNames.member.2=b", {"AlarmNames.member.1": ["c", "a"]}),
        ("/", {"x-amz-target": "GraniteServiceVersion20100801.DeleteAlarms"}, b'{"AlarmNames": ["a", "b"]}', {}),
        (
            "/service/GraniteServiceVersion20100801/operation/DeleteAlarms",
            {"smithy-protocol": "rpc-v2-cbor"},
            b"\xa1\x6aAlarmNames\x82\x61a\x61b",
            {},
        ),
    ],
    ids=["query", "form", "both, the last of a name", "json", "cbor"],
)
def test_cloudwatch_is_read_in_each_of_its_protocols(path, headers, body, parameters):
    request = authorization.read(path, headers, body, parameters)
    assert request is not None
    assert request.action == "DeleteAlarms"
    assert authorization.cloudwatch_resources(request, REGION, ACCOUNT) == [
        "arn:aws:cloudwatch:us-east-1:000000000000:alarm:a",
        "arn:aws:cloudwatch:us-east-1:000000000000:alarm:b",
    ]


def test_a_dashboard_has_no_region_in_its_arn():
    request = authorization.Request("PutDashboard", {"DashboardName": "orders"})
    assert authorization.cloudwatch_resources(request, REGION, ACCOUNT) == [
        "arn:aws:cloudwatch::000000000000:dashboard/orders"
    ]


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xa1\x6aAlarm", b"\xbf", b"\xff"])
def test_an_unreadable_body_has_no_members(body):
    assert authorization.members(body, {}) == {}


def test_the_metric_namespace_is_a_condition_key_of_cloudwatch_only():
    assert authorization.condition_context("monitoring", {"Namespace": "n"}) == {"cloudwatch:namespace": "n"}
    assert authorization.condition_context("sagemaker", {"Namespace": "n"}) == {}


def test_a_role_is_the_principal_and_not_its_session() -> None:
    assert authorization.role_of("arn:aws:sts::000000000000:assumed-role/r/s") == "arn:aws:iam::000000000000:role/r"
    assert authorization.role_of("arn:aws:iam::000000000000:user/ada") == "arn:aws:iam::000000000000:user/ada"


def test_a_write_to_s3_tells_on_what_it_depends() -> None:
    headers = {"if-none-match": "*", "content-type": "text/plain"}
    assert authorization.s3_conditions("s3:PutObject", headers) == {"s3:if-none-match": "*"}
    assert authorization.s3_conditions("s3:GetObject", headers) == {}
    assert authorization.s3_conditions("s3:PutObject", {}) == {}


@pytest.mark.parametrize(
    ("service", "read", "given", "resource"),
    [
        ("events", "arn:e:rule/default/r", {"Name": "r"}, "arn:e:rule/r"),
        ("events", "arn:e:rule/own/r", {"Name": "r", "EventBusName": "own"}, "arn:e:rule/own/r"),
        ("events", "arn:e:event-bus/default", {"Rule": "r"}, "arn:aws:events:eu-west-1:1:rule/r"),
        ("events", "*", {"ResourceARN": "arn:e:rule/r"}, "arn:e:rule/r"),
        ("ecr", "*", {"repositoryNames": ["a"]}, "arn:aws:ecr:eu-west-1:1:repository/a"),
        ("ecr", "*", {"resourceArn": "arn:r"}, "arn:r"),
        ("sns", "*", {"SubscriptionArn": "arn:sns:topic:1-2"}, "arn:sns:topic"),
        ("lambda", "*", {"FunctionName": "f"}, "arn:aws:lambda:eu-west-1:1:function:f"),
        ("lambda", "*", {"FunctionName": "f", "EventSourceArn": "arn:q"}, "*"),
        ("dynamodb", "*", {"ResourceArn": "arn:t"}, "arn:t"),
        ("dynamodb", "*", {}, "*"),
        ("s3", "arn:b", {}, "arn:b"),
    ],
)
def test_a_request_is_allowed_on_the_resource_that_aws_asks_about(service, read, given, resource):
    assert authorization.asked_about(service, read, given, "eu-west-1", "1") == resource
