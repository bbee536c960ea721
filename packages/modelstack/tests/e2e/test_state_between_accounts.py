"""Prod in another account reads the state of staging only with all policies of docs/how-to/aws.md, by the real engine.

`pulumi up` on prod reads staging's outputs by a stack reference, whose state is in a bucket and under a key of the
first account.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from bench.bed import Bed
from localcloud import process
from localcloud.setup import POLICY_PACK
from modelstack.cli.local.stack import Done, Stack
from tests.e2e.conftest import succeeded
from tests.process import ROOT
from tests.program.recorded import ACCOUNT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

PROD, BUCKET, ROLE = "222222222222", "my-team-state", "modelstack-prod-deploy"
ENDS = {"staging": "pulumi.export('serves', pulumi.Output.secret('release'))", "prod": """
there = pulumi.StackReference('organization/witness/staging')
pulumi.export('taken', there.get_output('serves'))
"""}  # fmt: skip
PROGRAM = f"import pulumi\nexec({ENDS!r}[pulumi.get_stack()])\n"


def documented() -> tuple[dict[str, Any], dict[str, Any]]:
    """The statements of the bucket's and of the key's policy, as the page has them."""
    page = (ROOT / "docs/how-to/aws.md").read_text().partition("**Prod in another account**")[2]
    block = re.search(r"```json\n(.*?)```", page, re.DOTALL)
    assert block is not None
    bucket, read = json.JSONDecoder().raw_decode(block[1])
    key, _ = json.JSONDecoder().raw_decode(block[1][read:].strip())
    return bucket, key


@dataclass(frozen=True)
class Accounts:
    """The policies of both accounts, and stack prod with the keys of its role."""

    s3: Any
    kms: Any
    iam: Any
    key: str
    prod: Stack

    def allow(self, missing: str = "") -> None:
        """Put all policies of the page, but for one."""
        bucket, key = documented()
        if missing == "bucket":
            self.s3.delete_bucket_policy(Bucket=BUCKET)
        else:
            self.s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": bucket}))
        own = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "kms:*", "Resource": "*"}
        statements = [own] if missing == "key" else [own, key]
        policy = {"Version": "2012-10-17", "Statement": statements}
        self.kms.put_key_policy(KeyId=self.key, PolicyName="default", Policy=json.dumps(policy))
        text = (ROOT / ".github/roles/deploy.json").read_text()
        words = {"ACCOUNT": PROD, "REGION": "us-east-1", "STATE_BUCKET": BUCKET, "SECRETS_KEY": self.key}
        for word, value in {**words, "PREFIX": "flight-delay-prod"}.items():
            text = text.replace(word, value)
        role = json.loads(text.replace(f":{PROD}:key/{self.key}", f":{ACCOUNT}:key/{self.key}"))
        role["Statement"] = [one for one in role["Statement"] if one["Sid"] != missing]
        self.iam.put_role_policy(RoleName=ROLE, PolicyName="deploy", PolicyDocument=json.dumps(role))

    def up(self) -> Done:
        return self.prod.pulumi("up", "--yes", "--skip-preview", "--stack", "prod")


@pytest.fixture(scope="module")
def accounts(story: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounts]:
    folder = tmp_path_factory.mktemp("witness")
    for name, text in {"Pulumi.yaml": "name: witness\nruntime: python\n", "__main__.py": PROGRAM}.items():
        (folder / name).write_text(text)
    here = boto3.Session(region_name="us-east-1")
    s3, kms = here.client("s3"), here.client("kms")
    s3.create_bucket(Bucket=BUCKET)
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    there = process.keys(story.cloud, PROD)
    keys = {"aws_access_key_id": there["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": there["AWS_SECRET_ACCESS_KEY"]}
    root = boto3.Session(**keys, region_name="us-east-1")
    trust = {"Effect": "Allow", "Principal": {"AWS": PROD}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [trust]}
    arn = root.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    user = root.client("iam")
    user.create_user(UserName="ci")
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [assume]}
    user.put_user_policy(UserName="ci", PolicyName="ci", PolicyDocument=json.dumps(policy))
    made = user.create_access_key(UserName="ci")["AccessKey"]
    sts = boto3.client("sts", aws_access_key_id=made["AccessKeyId"], aws_secret_access_key=made["SecretAccessKey"])
    session = sts.assume_role(RoleArn=arn, RoleSessionName="ci")["Credentials"]
    yield from _stacks(story, folder, key, session, Accounts(s3, kms, root.client("iam"), key, story.stack))


def _stacks(story: Bed, folder: Path, key: str, session: Any, made: Accounts) -> Iterator[Accounts]:
    backend = f"s3://{BUCKET}?region=us-east-1&s3ForcePathStyle=true"
    environment = {**story.environment, "PULUMI_BACKEND_URL": backend, POLICY_PACK: ""}
    provider = f"awskms:///arn:aws:kms:us-east-1:{ACCOUNT}:key/{key}?region=us-east-1"
    staging = Stack("staging", environment, folder)
    succeeded(staging.pulumi("stack", "init", "staging", "--secrets-provider", provider))
    succeeded(staging.pulumi("up", "--yes", "--skip-preview", "--stack", "staging"))
    keys = {
        "AWS_ACCESS_KEY_ID": session["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
        "AWS_SESSION_TOKEN": session["SessionToken"],
    }
    prod = Stack("prod", {**environment, **keys}, folder)
    made = replace(made, prod=prod)
    made.allow()
    succeeded(prod.pulumi("stack", "init", "prod", "--secrets-provider", provider))
    yield made


def test_the_role_of_prod_takes_what_staging_serves_with_the_policies_of_the_page(accounts: Accounts) -> None:
    accounts.allow()
    succeeded(accounts.up())
    shown = succeeded(accounts.prod.pulumi("stack", "output", "taken", "--show-secrets", "--stack", "prod")).output
    assert shown.strip() == "release"


@pytest.mark.parametrize("missing", ["bucket", "key", "State", "StateList", "StateSecrets"])
def test_without_one_of_them_it_cannot(accounts: Accounts, missing: str) -> None:
    accounts.allow(missing)
    done = accounts.up()
    assert done.code != 0
    assert re.search(r"AccessDenied|not authorized", done.output), done.output[-2000:]
