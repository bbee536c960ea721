"""SageMaker and CloudWatch of one region know nothing of another's."""

from __future__ import annotations

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e

HERE, THERE = "us-east-1", "eu-west-1"


@pytest.fixture(scope="module")
def mortal(new_cloud):
    cloud = new_cloud()
    cloud.start()
    return cloud


def client(cloud: Any, service: str, region: str) -> Any:
    return cloud.session().client(service, region, endpoint_url=cloud.url)


def groups(cloud: Any, region: str) -> list[str]:
    listed = client(cloud, "sagemaker", region).list_model_package_groups()["ModelPackageGroupSummaryList"]
    return [group["ModelPackageGroupArn"] for group in listed]


def alarms(cloud: Any, region: str) -> list[str]:
    listed = client(cloud, "cloudwatch", region).describe_alarms(AlarmNamePrefix="regional")["MetricAlarms"]
    return [alarm["AlarmArn"] for alarm in listed]


def test_a_resource_is_in_the_region_that_it_was_made_in_also_after_a_kill(mortal):
    metric = {"Namespace": "regional", "MetricName": "m", "Statistic": "Sum", "Period": 60, "EvaluationPeriods": 1}
    for region in (HERE, THERE):
        client(mortal, "sagemaker", region).create_model_package_group(ModelPackageGroupName="regional")
        client(mortal, "cloudwatch", region).put_metric_alarm(
            AlarmName="regional", **metric, Threshold=1, ComparisonOperator="GreaterThanThreshold"
        )
    client(mortal, "cloudwatch", THERE).put_metric_data(
        Namespace="regional", MetricData=[{"MetricName": "m", "Value": 1}]
    )
    client(mortal, "cloudwatch", THERE).put_metric_alarm(
        AlarmName="regional-2", **metric, Threshold=1, ComparisonOperator="GreaterThanThreshold"
    )
    mortal.kill()
    mortal.start()
    for region, names in ((HERE, ["regional"]), (THERE, ["regional", "regional-2"])):
        assert groups(mortal, region) == [f"arn:aws:sagemaker:{region}:000000000000:model-package-group/regional"]
        assert alarms(mortal, region) == [f"arn:aws:cloudwatch:{region}:000000000000:alarm:{name}" for name in names]
    assert client(mortal, "cloudwatch", THERE).list_metrics(Namespace="regional")["Metrics"]
    assert client(mortal, "cloudwatch", HERE).list_metrics(Namespace="regional")["Metrics"] == []


def test_a_dashboard_is_in_all_regions(mortal):
    client(mortal, "cloudwatch", THERE).put_dashboard(DashboardName="everywhere", DashboardBody='{"widgets": []}')
    for region in (HERE, THERE):
        found = client(mortal, "cloudwatch", region).get_dashboard(DashboardName="everywhere")
        assert found["DashboardArn"] == "arn:aws:cloudwatch::000000000000:dashboard/everywhere"


def test_a_function_is_metered_in_its_region(mortal, eventually):
    import io
    import zipfile

    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as file:
        file.writestr("f.py", "def handler(event, context): return 1")
    role = mortal.client("iam").create_role(
        RoleName="metered",
        AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": '
        '{"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]}',
    )["Role"]["Arn"]
    functions = client(mortal, "lambda", THERE)
    functions.create_function(
        FunctionName="metered", Runtime="python3.11", Role=role, Handler="f.handler", Code={"ZipFile": code.getvalue()}
    )
    functions.get_waiter("function_active_v2").wait(
        FunctionName="metered", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
    )
    for kind in ("RequestResponse", "Event"):
        functions.invoke(FunctionName="metered", InvocationType=kind)

    def metered(region: str) -> float:
        points = client(mortal, "cloudwatch", region).get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": "metered"}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert eventually(lambda: metered(THERE) == 2)
    assert metered(HERE) == 0


@pytest.mark.parametrize(("service", "call"), [("sagemaker", "list_models"), ("cloudwatch", "describe_alarms")])
def test_what_is_no_region_is_refused(mortal, service, call):
    with pytest.raises(ClientError, match="scoped to a valid region"):
        getattr(client(mortal, service, "here"), call)()
