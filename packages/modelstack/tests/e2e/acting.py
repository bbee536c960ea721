"""Acting as a role of `.github/roles` on a local cloud, and which rights of a role a story has used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import boto3

from modelstack.cli.local.stack import Stack
from tests.process import ROOT
from tests.program.recorded import ACCOUNT, LOCAL

ANYBODY = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
WORDS = {"PREFIX": LOCAL.prefix, "ACCOUNT": ACCOUNT, "REGION": "us-east-1"}


def as_role(stack: Stack, name: str) -> Stack:
    """The same stack, whose commands have the keys of a role that CI takes."""
    return replace(stack, environment={**stack.environment, **_keys(name)})


def _keys(name: str) -> Mapping[str, str]:
    text = (ROOT / f".github/roles/{name}.json").read_text()
    for word, value in WORDS.items():
        text = text.replace(word, value)
    iam, sts = (boto3.client(service) for service in ("iam", "sts"))
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(ANYBODY))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName=name, PolicyDocument=text)
    given = sts.assume_role(RoleArn=arn, RoleSessionName="ci")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }
