"""IAM is enforced: on functions by their role, on our own services as on ministack's."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e

ENDPOINT = "arn:aws:sagemaker:us-east-1:000000000000:endpoint/iam-endpoint"
WEIGHTS = {
    "EndpointName": "IAM-endpoint",
    "DesiredWeightsAndCapacities": [{"VariantName": "champion", "DesiredWeight": 1}],
}


@pytest.fixture(scope="module")
def functions(cloud, functions_of):
    made = functions_of(cloud)
    made.create("iam-refused")
    made.create("iam-allowed")
    cloud.client("s3").create_bucket(Bucket="iam-bucket")
    return made


def test_root_may_do_everything(cloud):
    assert cloud.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::000000000000:root"


def test_a_function_runs_as_its_role(functions):
    answer = functions.call("iam-refused", "s3", "put_object", Bucket="iam-bucket", Key="k", Body="x")
    assert answer["code"] == "AccessDenied"
    assert answer["status"] == 403
    assert "assumed-role/iam-refused/iam-refused is not authorized to perform: s3:PutObject" in answer["message"]


def test_a_function_may_do_what_its_role_allows(functions):
    functions.allow("iam-allowed", Action="s3:PutObject", Resource="arn:aws:s3:::iam-bucket/*")
    assert functions.call("iam-allowed", "s3", "put_object", Bucket="iam-bucket", Key="k", Body="x") == "done"


def test_an_object_that_is_not_there_is_a_refusal_to_who_may_not_list_the_bucket(functions):
    def code(name: str, call: str = "get_object") -> str:
        return functions.call(name, "s3", call, Bucket="iam-bucket", Key="kept/none")["code"]

    functions.create("iam-lists")
    functions.allow("iam-lists", Action="s3:GetObject", Resource="arn:aws:s3:::iam-bucket/*")
    assert (code("iam-lists"), code("iam-lists", "head_object")) == ("AccessDenied", "403")
    lists = {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::iam-bucket*"]}
    functions.allow("iam-lists", **lists, Condition={"StringLike": {"s3:prefix": ["kept/*"]}})
    assert code("iam-lists") == "AccessDenied", "a request for an object has no prefix"
    functions.allow("iam-lists", **lists)
    assert (code("iam-lists"), code("iam-lists", "head_object")) == ("NoSuchKey", "404")


def test_a_bucket_that_demands_tls_takes_requests_on_loopback(cloud, functions):
    functions.allow("iam-allowed", Action="s3:PutObject", Resource="arn:aws:s3:::iam-tls/*")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="iam-tls")
    only_tls = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": ["arn:aws:s3:::iam-tls", "arn:aws:s3:::iam-tls/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
    s3.put_bucket_policy(Bucket="iam-tls", Policy=json.dumps(only_tls))
    assert functions.call("iam-allowed", "s3", "put_object", Bucket="iam-tls", Key="k", Body="x") == "done"


def test_a_function_without_the_permission_may_not_move_traffic(functions):
    answer = functions.call("iam-refused", "sagemaker", "update_endpoint_weights_and_capacities", **WEIGHTS)
    assert answer["code"] == "AccessDeniedException"
    assert answer["message"].endswith(
        f"is not authorized to perform: sagemaker:UpdateEndpointWeightsAndCapacities on resource: {ENDPOINT} because "
        "no identity-based policy allows the sagemaker:UpdateEndpointWeightsAndCapacities action"
    )


def test_a_function_with_the_permission_reaches_sagemaker(functions):
    functions.allow("iam-allowed", Action="sagemaker:UpdateEndpointWeightsAndCapacities", Resource=ENDPOINT)
    answer = functions.call("iam-allowed", "sagemaker", "update_endpoint_weights_and_capacities", **WEIGHTS)
    assert answer["code"] == "ValidationException"
    assert "Could not find endpoint" in answer["message"]


def test_the_permission_for_one_endpoint_is_none_for_another(functions):
    functions.allow("iam-allowed", Action="sagemaker:*", Resource=ENDPOINT)
    other = {**WEIGHTS, "EndpointName": "another"}
    answer = functions.call("iam-allowed", "sagemaker", "update_endpoint_weights_and_capacities", **other)
    assert answer["code"] == "AccessDeniedException"


def test_update_endpoint_also_needs_the_right_to_the_config(functions):
    functions.allow("iam-allowed", Action="sagemaker:UpdateEndpoint", Resource=ENDPOINT)
    answer = functions.call(
        "iam-allowed", "sagemaker", "update_endpoint", EndpointName="iam-endpoint", EndpointConfigName="pair"
    )
    assert "on resource: arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/pair" in answer["message"]


def test_creating_a_model_needs_the_right_to_pass_its_role(functions):
    functions.allow("iam-allowed", Action="sagemaker:CreateModel", Resource="*")
    role = "arn:aws:iam::000000000000:role/iam-refused"
    answer = functions.call("iam-allowed", "sagemaker", "create_model", ModelName="m", ExecutionRoleArn=role)
    assert answer["code"] == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role}" in answer["message"]


def test_creating_a_training_job_needs_the_right_to_the_job_and_to_pass_its_role(functions):
    role = "arn:aws:iam::000000000000:role/iam-refused"
    job = "arn:aws:sagemaker:us-east-1:000000000000:training-job/iam-job"
    request = {"TrainingJobName": "iam-job", "RoleArn": role, "OutputDataConfig": {"S3OutputPath": "s3://iam-bucket/o"}}
    call = ("iam-allowed", "sagemaker", "create_training_job")
    functions.allow("iam-allowed", Action="sagemaker:CreateTrainingJob", Resource=f"{job}-2")
    answer = functions.call(*call, **request)
    assert f"is not authorized to perform: sagemaker:CreateTrainingJob on resource: {job}" in answer["message"]
    functions.allow("iam-allowed", Action="sagemaker:CreateTrainingJob", Resource=job)
    answer = functions.call(*call, **request)
    assert answer["code"] == "AccessDeniedException"
    assert f"iam:PassRole on resource: {role}" in answer["message"]


@pytest.mark.parametrize(
    ("service", "call", "arguments", "action"),
    [
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": "{}"}, "sagemaker:InvokeEndpoint"),
        ("cloudwatch", "delete_alarms", {"AlarmNames": ["a"]}, "cloudwatch:DeleteAlarms"),
        ("cloudwatch", "put_dashboard", {"DashboardName": "d", "DashboardBody": "{}"}, "cloudwatch:PutDashboard"),
    ],
)
def test_our_other_services_refuse_too(functions, service, call, arguments, action):
    answer = functions.call("iam-refused", service, call, **arguments)
    assert answer["code"] == ("AccessDenied" if service == "cloudwatch" else "AccessDeniedException")
    assert f"is not authorized to perform: {action} on resource: arn:aws:" in answer["message"]


def test_a_metric_may_be_allowed_by_its_namespace(functions):
    functions.allow(
        "iam-allowed",
        Action="cloudwatch:PutMetricData",
        Resource="*",
        Condition={"StringEquals": {"cloudwatch:namespace": "shop"}},
    )
    data = [{"MetricName": "DriftEvidence", "Value": 0.1}]
    call = ("iam-allowed", "cloudwatch", "put_metric_data")
    assert functions.call(*call, Namespace="shop", MetricData=data) == "done"
    assert functions.call(*call, Namespace="another", MetricData=data)["code"] == "AccessDenied"


@pytest.mark.parametrize("service", ["sagemaker", "cloudwatch", "s3"])
def test_a_wrong_secret_is_refused(cloud, service):
    client = cloud.client(service, secret="wrong")
    calls = {"sagemaker": "list_models", "cloudwatch": "describe_alarms", "s3": "list_buckets"}
    with pytest.raises(ClientError) as refusal:
        getattr(client, calls[service])()
    assert refusal.value.response["Error"]["Code"] in {"SignatureDoesNotMatch", "InvalidSignatureException"}


def test_a_request_without_a_signature_is_refused(cloud):
    request = urllib.request.Request(f"{cloud.url}/endpoints/e/invocations", data=b"{}", method="POST")
    request.add_header("X-Amz-Target", "SageMaker.ListModels")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    assert refusal.value.code in {400, 403}


def test_an_object_is_not_public_by_itself(cloud, functions):
    cloud.client("s3").put_object(Bucket="iam-bucket", Key="private", Body=b"x")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"{cloud.url}/iam-bucket/private")
    assert refusal.value.code == 403


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/_ministack/reset", {}),
        ("/_ministack/config", {}),
        ("/?Action=ListUsers&Version=2010-05-08&AWSAccessKeyId=test", {"Origin": "https://example.com"}),
        ("/?Action=ListUsers&Version=2010-05-08&AWSAccessKeyId=test", {"Sec-Fetch-Site": "cross-site"}),
        ("/?Action=ListUsers&Version=2010-05-08&AWSAccessKeyId=test", {"Host": "rebound.example.com"}),
    ],
)
def test_no_web_page_gets_in(cloud, path, headers):
    request = urllib.request.Request(cloud.url + path, data=b"", method="POST", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(request)
    assert refusal.value.code == 403
    expected = b"is closed here" if "_ministack" in path else b"the local cloud"
    assert expected in refusal.value.read()


@pytest.mark.parametrize(("service", "call"), [("ec2", "describe_instances"), ("glacier", "list_vaults")])
def test_a_service_that_is_not_served_is_refused_by_name(cloud, service, call):
    with pytest.raises(ClientError, match=f"does not serve {service}"):
        getattr(cloud.client(service), call)()


def used(cloud, role):
    lines = (json.loads(line) for line in (cloud.state / "used-rights.jsonl").read_text().splitlines())
    return [(one["action"], one["resource"]) for one in lines if one["role"] == role]


def test_the_rights_that_a_role_has_used_are_kept_once_and_as_its_policy_writes_them(cloud, functions):
    functions.create("iam-used")
    functions.allow("iam-used", Action=["s3:PutObject", "s3:GetObject"], Resource=["arn:aws:s3:::iam-bucket/u/*"])
    for key in ("u/1", "u/2"):
        assert functions.call("iam-used", "s3", "put_object", Bucket="iam-bucket", Key=key, Body="x") == "done"
    assert functions.call("iam-used", "s3", "put_object", Bucket="iam-bucket", Key="v", Body="x") != "done"
    puts = [one for one in used(cloud, "iam-used") if one[0].startswith("s3:")]
    assert puts == [("s3:PutObject", "arn:aws:s3:::iam-bucket/u/*")], "neither what it may only, nor what it may not"


def test_a_repository_is_described_by_who_may_describe_this_one(cloud, functions):
    cloud.client("ecr").create_repository(repositoryName="iam-ours")
    functions.create("iam-repository")
    functions.allow("iam-repository", Action="ecr:*", Resource="arn:aws:ecr:us-east-1:000000000000:repository/iam-ours")
    assert functions.call("iam-repository", "ecr", "describe_repositories", repositoryNames=["iam-ours"]) == "done"
    arn = "arn:aws:ecr:us-east-1:000000000000:repository/iam-ours"
    assert functions.call("iam-repository", "ecr", "list_tags_for_resource", resourceArn=arn) == "done"
    refused = functions.call("iam-repository", "ecr", "describe_repositories", repositoryNames=["iam-others"])
    assert refused["code"] == "AccessDeniedException"
