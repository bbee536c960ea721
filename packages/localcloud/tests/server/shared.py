"""What one account owns that another may want to read, and how each account opens it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3

OWNER, OTHER = "000000000000", "222222222222"
HERE = f"us-east-1:{OWNER}"
OWN_KEY = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{OWNER}:root"}, "Action": "kms:*", "Resource": "*"}
PACKAGE = b"sealed"
KIND = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = {
    "mediaType": "application/vnd.docker.container.image.v1+json",
    "size": 2,
    "digest": f"sha256:{hashlib.sha256(b'{}').hexdigest()}",
}
MANIFEST = {"schemaVersion": 2, "mediaType": KIND, "config": CONFIG, "layers": []}
SOURCE = "def handler(event, context): return 'answered'"


def document(*statements: dict[str, Any]) -> str:
    """A policy."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def push_layer(cloud: Any, repository: str, content: bytes) -> str:
    """Push a layer, or a config, through the container registry; returns its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]

    def send(method: str, url: str, body: bytes = b"") -> str:
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/octet-stream"}
        with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method)) as answer:
            return urllib.parse.urljoin(cloud.url, answer.headers["Location"])

    send("PUT", f"{send('POST', f'{cloud.url}/v2/{repository}/blobs/uploads/')}?digest={digest}", content)
    return digest


class Owned:
    """Everything that a promotion reads, in the account of the owner.

    Attributes:
        key: ARN of a key that encrypts.
        signer: ARN of a key that signs.
        secret: Something that `key` has encrypted.
        signature: What `signer` has signed.
        topic: ARN of a topic.
        function: ARN of a function.
    """

    def __init__(self, cloud: Any) -> None:
        self.client = cloud.client
        s3, kms, ecr, sagemaker = map(cloud.client, ("s3", "kms", "ecr", "sagemaker"))
        s3.create_bucket(Bucket="shared")
        s3.put_object(Bucket="shared", Key="package.tar", Body=PACKAGE)
        self.key = kms.create_key()["KeyMetadata"]["Arn"]
        self.signer = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["Arn"]
        self.secret = kms.encrypt(KeyId=self.key, Plaintext=b"plain")["CiphertextBlob"]
        signed = {"KeyId": self.signer, "Message": PACKAGE, "SigningAlgorithm": "RSASSA_PSS_SHA_256"}
        self.signature = kms.sign(**signed)["Signature"]
        ecr.create_repository(repositoryName="shared")
        push_layer(cloud, "shared", b"{}")
        ecr.put_image(repositoryName="shared", imageManifest=json.dumps(MANIFEST), imageTag="v1")
        sagemaker.create_model_package_group(ModelPackageGroupName="shared")
        sagemaker.create_model_package(ModelPackageGroupName="shared")
        self.topic = cloud.client("sns").create_topic(Name="shared")["TopicArn"]
        self.function = self._function()

    def _function(self) -> str:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = self.client("iam").create_role(RoleName="shared", AssumeRolePolicyDocument=document(trust))["Role"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as file:
            file.writestr("f.py", SOURCE)
        functions = self.client("lambda")
        made = functions.create_function(
            FunctionName="shared",
            Runtime="python3.11",
            Role=role["Arn"],
            Handler="f.handler",
            Code={"ZipFile": code.getvalue()},
        )
        functions.get_waiter("function_active_v2").wait(
            FunctionName="shared", WaiterConfig={"Delay": 0.1, "MaxAttempts": 600}
        )
        return made["FunctionArn"]

    def open_bucket(self, *statements: dict[str, Any]) -> None:
        s3 = self.client("s3")
        if statements:
            s3.put_bucket_policy(Bucket="shared", Policy=document(*statements))
        else:
            s3.delete_bucket_policy(Bucket="shared")

    def open_key(self, *statements: dict[str, Any]) -> None:
        for key in (self.key, self.signer):
            self.client("kms").put_key_policy(KeyId=key, Policy=document(OWN_KEY, *statements))

    def open_repository(self, *statements: dict[str, Any]) -> None:
        ecr = self.client("ecr")
        bare = [{name: value for name, value in one.items() if name != "Resource"} for one in statements]
        if statements:
            ecr.set_repository_policy(repositoryName="shared", policyText=document(*bare))
        else:
            ecr.delete_repository_policy(repositoryName="shared")

    def open_group(self, *statements: dict[str, Any]) -> None:
        sagemaker, group = self.client("sagemaker"), {"ModelPackageGroupName": "shared"}
        if statements:
            sagemaker.put_model_package_group_policy(**group, ResourcePolicy=document(*statements))
        else:
            sagemaker.delete_model_package_group_policy(**group)

    def open_topic(self, *statements: dict[str, Any]) -> None:
        own = {**OWN_KEY, "Action": "sns:Publish", "Resource": self.topic}
        self.client("sns").set_topic_attributes(
            TopicArn=self.topic, AttributeName="Policy", AttributeValue=document(own, *statements)
        )

    def open_function(self, *statements: dict[str, Any]) -> None:
        functions = self.client("lambda")
        given = {"FunctionName": "shared", "StatementId": "shared"}
        if statements:
            principal = statements[0]["Principal"]["AWS"]
            functions.add_permission(**given, Action="lambda:InvokeFunction", Principal=principal)
        else:
            functions.remove_permission(**given)


@dataclass(frozen=True)
class Read:
    """One way to read what another account owns.

    Attributes:
        service: Of boto3.
        ask: Makes the call, with the client of a caller; answers what came of it.
        answer: What should come of it.
        action: Its name in IAM.
        resource: The ARN of what is read; `key`, `signer`, `topic` and `function` stand for those of `Owned`.
        opened_by: The method of `Owned` that sets the policy of the resource.
        code: Of the refusal.
    """

    service: str
    ask: Callable[[Any, Owned], Any]
    answer: Any
    action: str
    resource: str
    opened_by: str
    code: str = "AccessDeniedException"

    def arn(self, owned: Owned) -> str:
        """The ARN of what is read."""
        return str(getattr(owned, self.resource, self.resource))


def signed(owned: Owned) -> dict[str, Any]:
    """What `Verify` takes."""
    return {
        "KeyId": owned.signer,
        "Message": PACKAGE,
        "Signature": owned.signature,
        "SigningAlgorithm": "RSASSA_PSS_SHA_256",
    }


GROUP = f"arn:aws:sagemaker:{HERE}:model-package-group/shared"
VERSION = f"arn:aws:sagemaker:{HERE}:model-package/shared/1"
PULLED = {"repositoryName": "shared", "imageIds": [{"imageTag": "v1"}]}
REPOSITORY = f"arn:aws:ecr:{HERE}:repository/shared"

READS = {
    "GetObject": Read(
        "s3",
        lambda s3, _: s3.get_object(Bucket="shared", Key="package.tar")["Body"].read(),
        PACKAGE,
        "s3:GetObject",
        "arn:aws:s3:::shared/package.tar",
        "open_bucket",
        "AccessDenied",
    ),
    "ListBucket": Read(
        "s3",
        lambda s3, _: [one["Key"] for one in s3.list_objects_v2(Bucket="shared")["Contents"]],
        ["package.tar"],
        "s3:ListBucket",
        "arn:aws:s3:::shared",
        "open_bucket",
        "AccessDenied",
    ),
    "Decrypt": Read(
        "kms",
        lambda kms, owned: kms.decrypt(KeyId=owned.key, CiphertextBlob=owned.secret)["Plaintext"],
        b"plain",
        "kms:Decrypt",
        "key",
        "open_key",
    ),
    "Decrypt, the key by its ciphertext": Read(
        "kms",
        lambda kms, owned: kms.decrypt(CiphertextBlob=owned.secret)["Plaintext"],
        b"plain",
        "kms:Decrypt",
        "key",
        "open_key",
    ),
    "Verify": Read(
        "kms",
        lambda kms, owned: kms.verify(**signed(owned))["SignatureValid"],
        True,
        "kms:Verify",
        "signer",
        "open_key",
    ),
    "GetPublicKey": Read(
        "kms",
        lambda kms, owned: kms.get_public_key(KeyId=owned.signer)["KeyId"] == owned.signer,
        True,
        "kms:GetPublicKey",
        "signer",
        "open_key",
    ),
    "BatchGetImage": Read(
        "ecr",
        lambda ecr, _: json.loads(ecr.batch_get_image(registryId=OWNER, **PULLED)["images"][0]["imageManifest"]),
        MANIFEST,
        "ecr:BatchGetImage",
        REPOSITORY,
        "open_repository",
    ),
    "DescribeImages": Read(
        "ecr",
        lambda ecr, _: ecr.describe_images(registryId=OWNER, **PULLED)["imageDetails"][0]["registryId"],
        OWNER,
        "ecr:DescribeImages",
        REPOSITORY,
        "open_repository",
    ),
    "DescribeModelPackage": Read(
        "sagemaker",
        lambda client, _: client.describe_model_package(ModelPackageName=VERSION)["ModelPackageArn"],
        VERSION,
        "sagemaker:DescribeModelPackage",
        VERSION,
        "open_group",
    ),
    "ListModelPackages": Read(
        "sagemaker",
        lambda client, _: [
            package["ModelPackageArn"]
            for package in client.list_model_packages(ModelPackageGroupName=GROUP)["ModelPackageSummaryList"]
        ],
        [VERSION],
        "sagemaker:ListModelPackages",
        GROUP,
        "open_group",
    ),
    "Publish": Read(
        "sns",
        lambda sns, owned: bool(sns.publish(TopicArn=owned.topic, Message="m")["MessageId"]),
        True,
        "sns:Publish",
        "topic",
        "open_topic",
        "AuthorizationError",
    ),
    "Invoke": Read(
        "lambda",
        lambda functions, owned: json.loads(functions.invoke(FunctionName=owned.function)["Payload"].read()),
        "answered",
        "lambda:InvokeFunction",
        "function",
        "open_function",
    ),
}


class Reader:
    """A role of the other account, and sessions of it."""

    def __init__(self, cloud: Any, name: str) -> None:
        self.name = name
        self.arn = f"arn:aws:iam::{OTHER}:role/{name}"
        self._cloud = cloud
        self._iam = cloud.client("iam", account=OTHER)
        trust = {"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "sts:AssumeRole"}
        self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        self.session = self._session()

    def allow(self, *statements: dict[str, Any]) -> None:
        """Let the role do what the statements say, and nothing else."""
        if statements:
            self._iam.put_role_policy(RoleName=self.name, PolicyName="p", PolicyDocument=document(*statements))
        else:
            self._iam.delete_role_policy(RoleName=self.name, PolicyName="p")

    def client(self, service: str) -> Any:
        """A client with the keys of a session."""
        return self.session.client(service, endpoint_url=self._cloud.url)

    def environment(self) -> dict[str, str]:
        """The variables by which AWS's tools act as the role."""
        keys = self.session.get_credentials()
        return {
            "AWS_ENDPOINT_URL": self._cloud.url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
        }

    def login(self) -> str:
        """The header by which it pulls images."""
        given = self.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
        assert base64.b64decode(given).startswith(b"AWS:")
        return f"Basic {given}"

    def _session(self) -> boto3.Session:
        given = self._cloud.client("sts", account=OTHER).assume_role(RoleArn=self.arn, RoleSessionName="reading")
        keys = given["Credentials"]
        return boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], region_name="us-east-1"
        )
