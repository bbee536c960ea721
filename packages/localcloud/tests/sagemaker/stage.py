"""What do tests put on a real cloud?"""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from .asked import ACCOUNT, IMAGE, ROLE, make_archive, variant_of


def set_up(cloud: Any, bucket: str = "stage-models", account: str = ACCOUNT) -> None:
    """Make the bucket and the role that every stage in an account of a cloud shares."""
    cloud.client("s3", account=account).create_bucket(Bucket=bucket)
    trust = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = {"RoleName": ROLE.rpartition("/")[2], "AssumeRolePolicyDocument": _policy(trust)}
    cloud.client("iam", account=account).create_role(**role)


class Stage:
    """An account of a real cloud with what tests put in it, under names that no other test uses."""

    def __init__(self, cloud: Any, bucket: str, account: str = ACCOUNT) -> None:
        self.cloud = cloud
        self.bucket = bucket
        self.account = account
        self.sagemaker = cloud.client("sagemaker", account=account)
        self.runtime = cloud.client("sagemaker-runtime", account=account)
        self.s3 = cloud.client("s3", account=account)
        self.prefix = f"t{uuid.uuid4().hex[:8]}"

    def name(self, name: str) -> str:
        """A name of this stage's own."""
        return f"{self.prefix}-{name}"

    def model(self, name: str, archive: bytes | None = None, **behaviour: Any) -> str:
        """Put an archive and create its model; answers the model's name."""
        model = self.name(name)
        key = f"{model}/model.tar.gz"
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=archive or make_archive(name, **behaviour))
        self.sagemaker.create_model(
            ModelName=model,
            ExecutionRoleArn=ROLE.replace(ACCOUNT, self.account),
            PrimaryContainer={
                "Image": IMAGE.replace(ACCOUNT, self.account),
                "ModelDataUrl": f"s3://{self.bucket}/{key}",
            },
        )
        return model

    def config(self, name: str, weights: dict[str, float], workers: int = 0, **more: Any) -> str:
        """Create a configuration with a new model for each variant; answers its name."""
        config = self.name(name)
        models = {variant: self.model(f"{name}-{variant}", workers=workers) for variant in weights}
        variants = [variant_of(variant, model, weights[variant]) for variant, model in models.items()]
        self.sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=variants, **more)
        return config

    def endpoint(self, name: str, weights: dict[str, float], **more: Any) -> str:
        """Bring up an endpoint; answers its name."""
        endpoint = self.name(name)
        config = self.config(name, weights, **more)
        self.sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        assert self.settled(endpoint)["EndpointStatus"] == "InService"
        return endpoint

    def settled(self, endpoint: str, seconds: float = 200) -> dict[str, Any]:
        """The endpoint's description when nothing is in progress."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.sagemaker.describe_endpoint(EndpointName=endpoint)
            if described["EndpointStatus"] in {"InService", "Failed"}:
                return described
            time.sleep(0.05)
        raise AssertionError(f"endpoint {endpoint} is still {described['EndpointStatus']}")

    def role(
        self,
        *allowed: dict[str, Any],
        service: str = "sagemaker",
        when: dict[str, Any] | None = None,
        name: str = "role",
    ) -> str:
        """Make a role with statements that allow, which a service may assume on a condition; answers its ARN."""
        iam, name = self.cloud.client("iam", account=self.account), self.name(name)
        trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust |= {"Condition": when} if when else {}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(trust))
        if allowed:
            iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=_policy(*allowed))
        return made["Role"]["Arn"]

    def over(self, job: str, seconds: float = 200) -> dict[str, Any]:
        """The training job's description when it is over."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            described = self.sagemaker.describe_training_job(TrainingJobName=job)
            if described["TrainingJobStatus"] not in {"InProgress", "Stopping"}:
                return described
            time.sleep(0.05)
        raise AssertionError(f"training job {job} is still {described['SecondaryStatus']}")

    def faults(self, fault: dict[str, Any] | None) -> None:
        """Let something go wrong; None ends all that does."""
        self.cloud.faults("DELETE" if fault is None else "POST", fault)

    def invoke(self, endpoint: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """Invoke with JSON; answers the parsed body."""
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, ContentType="application/json", Body=json.dumps(body or {}), **more
        )
        return json.loads(answer["Body"].read())


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
