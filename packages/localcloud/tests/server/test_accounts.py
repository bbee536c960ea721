"""Accounts of one cloud: each has a root, keys, services and names of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud import process
from localcloud.server import credentials
from localcloud.server.accounts import Accounts

OWN, OTHER = "000000000000", "222222222222"


def test_an_account_is_made_by_making_its_keys(tmp_path):
    accounts = Accounts(tmp_path, OWN)
    assert accounts.names() == [OWN]
    keys = credentials.of(tmp_path, OTHER)
    assert accounts.names() == [OWN, OTHER]
    found = accounts.root(keys.access_key_id)
    assert found is not None, "its keys are known without a restart"
    assert (found.account, found.keys, found.arn) == (OTHER, keys, f"arn:aws:iam::{OTHER}:root")
    assert accounts.keys(OTHER) == keys != accounts.keys(OWN) == credentials.of(tmp_path)
    assert accounts.root("AKIALOCALCLOUDNOBODY") is None
    assert accounts.root("test") is None


def test_the_keys_of_an_account_are_its_users_alone(tmp_path):
    state = tmp_path / "new" / "state"
    credentials.of(state, OTHER)
    assert credentials.path_of(state, OTHER).stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in (state, state / "accounts")] == [0o700, 0o700]


@pytest.mark.parametrize("name", ["", "1", "prod", "2222222222222", "../../etc", "22222222222٢"])
def test_what_is_no_account_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(credentials.CredentialsUnusable, match=r"account is .*, expected 12 digits"):
        credentials.of(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_the_cloud_takes_a_second_pair_of_keys_of_its_own_account(tmp_path):
    accounts = Accounts(tmp_path, OWN)
    second = process.keys(tmp_path, OWN)
    found = accounts.root(second["AWS_ACCESS_KEY_ID"])
    assert found is not None
    assert found.account == OWN
    assert accounts.names() == [OWN]


ALARM: dict[str, Any] = {"Statistic": "Sum", "Period": 10, "EvaluationPeriods": 1, "Threshold": 0}
ALARM |= {"ComparisonOperator": "GreaterThanThreshold", "TreatMissingData": "notBreaching"}


@pytest.fixture(scope="module")
def mortal(new_cloud):
    cloud = new_cloud()
    cloud.start()
    return cloud


@pytest.mark.e2e
def test_a_request_is_of_the_account_of_its_keys(mortal):
    for account in (OWN, OTHER):
        found = mortal.client("sts", account=account).get_caller_identity()
        assert (found["Account"], found["Arn"]) == (account, f"arn:aws:iam::{account}:root")
        iam = mortal.client("iam", account=account)
        iam.create_user(UserName="same")
        made = iam.create_access_key(UserName="same")["AccessKey"]
        person = mortal.client("sts", made["AccessKeyId"], made["SecretAccessKey"]).get_caller_identity()
        assert person["Arn"] == f"arn:aws:iam::{account}:user/same"
        about = mortal.client("sts").get_access_key_info(AccessKeyId=mortal.keys_of(account).access_key_id)
        assert about["Account"] == account


@pytest.mark.e2e
def test_the_secret_of_one_root_signs_for_no_other(mortal):
    own, other = mortal.keys_of(None), mortal.keys_of(OTHER)
    with pytest.raises(ClientError, match="signature we calculated does not match"):
        mortal.client("sts", other.access_key_id, own.secret_access_key).get_caller_identity()


@pytest.mark.e2e
def test_names_repeat_between_accounts_and_are_there_after_a_kill(mortal):
    for account in (OWN, OTHER):
        names = ("sagemaker", "cloudwatch", "kms", "dynamodb")
        sagemaker, monitoring, kms, dynamodb = (mortal.client(name, account=account) for name in names)
        sagemaker.create_model_package_group(ModelPackageGroupName="same")
        monitoring.put_metric_alarm(AlarmName="same", Namespace="same", MetricName="m", **ALARM)
        kms.create_alias(AliasName="alias/same", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
        dynamodb.create_table(
            TableName="same",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        )
        dynamodb.put_item(TableName="same", Item={"k": {"S": account}})
    mortal.client("cloudwatch", account=OTHER).put_metric_data(
        Namespace="same", MetricData=[{"MetricName": "m", "Value": 1}]
    )
    mortal.kill()
    mortal.start()
    for account in (OWN, OTHER):
        sagemaker = mortal.client("sagemaker", account=account)
        [group] = sagemaker.list_model_package_groups()["ModelPackageGroupSummaryList"]
        assert group["ModelPackageGroupArn"] == f"arn:aws:sagemaker:us-east-1:{account}:model-package-group/same"
        [alarm] = mortal.client("cloudwatch", account=account).describe_alarms()["MetricAlarms"]
        assert alarm["AlarmArn"] == f"arn:aws:cloudwatch:us-east-1:{account}:alarm:same"
        key = mortal.client("kms", account=account).describe_key(KeyId="alias/same")["KeyMetadata"]["Arn"]
        assert key.startswith(f"arn:aws:kms:us-east-1:{account}:key/")
        items = mortal.client("dynamodb", account=account).scan(TableName="same")["Items"]
        assert items == [{"k": {"S": account}}]
    assert mortal.client("cloudwatch", account=OTHER).list_metrics(Namespace="same")["Metrics"]
    assert mortal.client("cloudwatch").list_metrics(Namespace="same")["Metrics"] == []


@pytest.mark.e2e
def test_an_alarm_tells_a_topic_and_a_bus_of_its_own_account(mortal, eventually):
    queues = {}
    for account in (OWN, OTHER):
        sns, sqs = mortal.client("sns", account=account), mortal.client("sqs", account=account)
        topic = sns.create_topic(Name="fires")["TopicArn"]
        queue = sqs.create_queue(QueueName="fires")["QueueUrl"]
        arn = f"arn:aws:sqs:us-east-1:{account}:fires"
        takes = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [takes]})
        sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
        events = mortal.client("events", account=account)
        events.put_rule(Name="fires", EventPattern=json.dumps({"source": ["aws.cloudwatch"]}))
        events.put_targets(Rule="fires", Targets=[{"Id": "q", "Arn": arn}])
        mortal.client("cloudwatch", account=account).put_metric_alarm(
            AlarmName="fires", Namespace="fires", MetricName="m", AlarmActions=[topic], **ALARM
        )
        queues[account] = (sqs, queue)
    mortal.client("cloudwatch", account=OTHER).put_metric_data(
        Namespace="fires", MetricData=[{"MetricName": "m", "Value": 1, "StorageResolution": 1}]
    )
    heard: list[str] = []

    def hears() -> bool:
        sqs, queue = queues[OTHER]
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        heard.extend(message["Body"] for message in answer.get("Messages", []))
        return sum("ALARM" in body for body in heard) >= 2

    assert eventually(hears, 60)
    assert all(OTHER in body and f":{OWN}:" not in body for body in heard)
    sqs, queue = queues[OWN]
    assert "ALARM" not in str(sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []))


@pytest.mark.e2e
def test_a_function_acts_in_its_own_account_and_is_metered_there(mortal, functions_of, eventually):
    for account in (OWN, OTHER):
        functions = functions_of(mortal, account)
        arn = functions.create("acts")
        assert arn == f"arn:aws:lambda:us-east-1:{account}:function:acts"
        functions.allow("acts", Action="sagemaker:CreateModelPackageGroup", Resource="*")
        made = {"ModelPackageGroupName": f"made-in-{account}"}
        assert functions.call("acts", "sagemaker", "create_model_package_group", **made) == "done"
    for account in (OWN, OTHER):
        sagemaker = mortal.client("sagemaker", account=account)
        listed = sagemaker.list_model_package_groups(NameContains="made-in")["ModelPackageGroupSummaryList"]
        assert [group["ModelPackageGroupName"] for group in listed] == [f"made-in-{account}"]

    def metered(account: str) -> float:
        points = mortal.client("cloudwatch", account=account).get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Invocations",
            Dimensions=[{"Name": "FunctionName", "Value": "acts"}],
            StartTime=time.time() - 600,
            EndTime=time.time() + 60,
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        return sum(point["Sum"] for point in points)

    assert eventually(lambda: (metered(OWN), metered(OTHER)) == (1, 1))


@pytest.mark.e2e
def test_a_dashboard_is_shown_by_its_account(mortal):
    mortal.client("cloudwatch", account=OTHER).put_dashboard(DashboardName="shown", DashboardBody='{"widgets": []}')
    page = f"{mortal.url}/_localcloud/dashboards/shown"
    with urllib.request.urlopen(f"{page}?account={OTHER}") as answer:
        assert json.load(answer) == {"widgets": []}
    for nowhere in (page, f"{page}?account=333333333333"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(nowhere)


@pytest.mark.e2e
def test_a_fault_of_one_account_spares_the_other(mortal):
    asked = {"service": "sagemaker", "operation": "ListModels", "effect": "error", "account": OTHER}
    fault = mortal.faults("POST", asked)
    assert fault["account"] == OTHER
    mortal.client("sagemaker").list_models()
    mortal.faults("DELETE")
    added = mortal.faults("POST", {**asked, "effect": "throttle", "calls": 1})
    mortal.client("sagemaker").list_models()
    answer = mortal.client("sagemaker", account=OTHER).list_models()
    assert answer["ResponseMetadata"]["RetryAttempts"] == 1, added


@pytest.mark.e2e
def test_the_status_names_the_accounts(mortal):
    run = [sys.executable, "-m", "localcloud", "status", "--state", str(mortal.state)]
    told = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert told.splitlines()[1:] == [f"  account {OWN}", f"  account {OTHER}"]
    told = subprocess.run([*run, "--json"], capture_output=True, text=True, check=True).stdout
    assert json.loads(told)["accounts"] == [OWN, OTHER]
