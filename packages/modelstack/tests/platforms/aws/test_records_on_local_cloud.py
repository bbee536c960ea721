"""The audit record on the local cloud: KMS signs, S3 takes each number once, and nobody deletes or overwrites."""

from __future__ import annotations

from functools import cache, partial
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError

from modelstack.platforms.aws.audit_records import S3Records
from modelstack.platforms.aws.clients import Clients
from modelstack.platforms.aws.kms_signer import KmsSigner
from modelstack.platforms.aws.names import Names
from modelstack.program.aws import policies
from modelstack.program.aws.statements import allow, document
from modelstack.rollout.core.errors import RolloutError
from tests.records.audit.made import chain

pytestmark = pytest.mark.e2e


@pytest.fixture
def names(cloud) -> Names:
    """A stack of the test's own, whose bucket has the policy that infra gives it."""
    found = Names("flight-delay", f"local-{uuid4().hex[:8]}", "000000000000", "us-east-1", "aws")
    cloud.client("s3").create_bucket(Bucket=found.bucket)
    cloud.client("s3").put_bucket_policy(Bucket=found.bucket, Policy=policies.bucket(found))
    return found


@pytest.fixture
def clients(cloud) -> Clients:
    return cache(cloud.client)


@pytest.fixture
def key(clients: Clients, names: Names) -> str:
    made = clients("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256", Policy=policies.audit_key(names))
    return made["KeyMetadata"]["Arn"]


@pytest.fixture
def admin(cloud) -> Clients:
    """Clients of a user who may do everything that no policy of a resource denies; the cloud asks none of its root."""
    iam, name = cloud.client("iam"), f"admin-{uuid4().hex[:8]}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=document(allow(["*"], ["*"])))
    keys = iam.create_access_key(UserName=name)["AccessKey"]
    session = boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], region_name="us-east-1")
    return cache(partial(session.client, endpoint_url=cloud.environment()["AWS_ENDPOINT_URL"]))


def test_an_administrator_neither_signs_nor_puts_nor_overwrites_nor_deletes_a_record(
    admin: Clients, clients: Clients, names: Names, key: str
) -> None:
    records = S3Records.of(clients, names.bucket, KmsSigner(clients, key))
    records.put(chain(1).waiting[0])
    (line,) = records.lines()
    s3, there = admin("s3"), {"Bucket": names.bucket, "Key": "audit/0000000001.json"}
    after = {**there, "Key": "audit/0000000002.json"}
    with pytest.raises(RolloutError, match=r"kms:Sign.*explicit deny"):
        S3Records.of(admin, names.bucket, KmsSigner(admin, key)).put(chain(2).waiting[1])
    for code, refused in (
        ("AccessDenied", lambda: s3.put_object(**there, Body=b"{}")),
        ("AccessDenied", lambda: s3.delete_object(**there)),
        ("AccessDenied", lambda: s3.delete_objects(Bucket=names.bucket, Delete={"Objects": [{"Key": there["Key"]}]})),
        ("AccessDenied", lambda: s3.copy_object(**there, CopySource=there)),
        ("AccessDenied", lambda: s3.put_object(**after, Body=b"{}", IfNoneMatch="*")),
    ):
        with pytest.raises(ClientError) as found:
            refused()
        assert found.value.response["Error"]["Code"] == code
    with pytest.raises(ClientError) as found:
        clients("s3").put_object(**there, Body=b"{}", IfNoneMatch="*")
    assert found.value.response["Error"]["Code"] == "PreconditionFailed"
    with pytest.raises(RolloutError, match="is not the record that the journal has"):
        records.put(chain(1, who="eve").waiting[0])
    assert list(records.lines()) == [line]
    s3.put_object(Bucket=names.bucket, Key="packages/x", Body=b"x")
    s3.put_object(Bucket=names.bucket, Key="packages/x", Body=b"y")
    s3.delete_object(Bucket=names.bucket, Key="packages/x")
