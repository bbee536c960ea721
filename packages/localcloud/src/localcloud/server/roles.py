"""How a service of ours acts as a role: temporary credentials of STS, if the role trusts the service.

`sts:AssumeRole` cannot be asked for that: its caller would be the account's root, whom ministack takes for every
service principal.
"""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import boto3
from botocore.credentials import Credentials
from ministack.core.responses import request_scope
from ministack.services import iam, sts

from localcloud.server.deliveries import policy_allows
from localcloud.server.json_calls import JsonCalls
from localcloud.server.platform import Assumed, RoleRefused

_KEY_LETTERS = string.ascii_uppercase + "234567"


class CloudRoles:
    """The platform's `Roles` over ministack."""

    def __init__(self, url: str, region: str, account: str) -> None:
        self._url = url
        self._region = region
        self._account = account
        self._calls = JsonCalls(url, region)
        # One session, so that the model of a service is read once.
        self._session = boto3.Session(region_name=region)
        self._making = threading.Lock()

    def require(self, role_arn: str, *, principal: str, source_arn: str) -> None:
        """Refuse a role that a service principal may not assume."""
        self._trusting(role_arn, principal, source_arn)

    def assume(self, role_arn: str, session: str, *, principal: str, source_arn: str, seconds: float) -> Assumed:
        """Assume a role as a service principal."""
        role = self._trusting(role_arn, principal, source_arn)
        keys = begin_session(role, session, self._account, seconds)
        environment = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token or "",
            "AWS_ENDPOINT_URL": self._url,
            "AWS_REGION": self._region,
            "AWS_DEFAULT_REGION": self._region,
        }
        ask = partial(self._calls.ask, keys, "sagemaker", "SageMaker")
        return Assumed(environment, partial(self._client, keys), ask)

    def _client(self, keys: Credentials, service: str, **options: Any) -> Any:
        with self._making:  # a boto3 session makes clients in one thread only
            return self._session.client(
                service,
                endpoint_url=self._url,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
                **options,
            )

    def _trusting(self, role_arn: str, principal: str, source_arn: str) -> dict[str, Any]:
        return trusting(role_arn, principal, source_arn, self._account, self._region)


def trusting(role_arn: str, principal: str, source_arn: str, account: str, region: str) -> dict[str, Any]:
    """A role of an account that a service principal may assume.

    Raises:
        RoleRefused: There is none, or its trust policy does not let the principal.
    """
    with request_scope(account, region):
        role = iam._roles.get(role_arn.rsplit("/", 1)[-1])
        if role is None or role["Arn"] != role_arn:
            raise RoleRefused(f"There is no role {role_arn}.")
        trust = _of_every_resource(role["AssumeRolePolicyDocument"])
        if not policy_allows(trust, "sts:AssumeRole", role_arn, principal, source_arn):
            raise RoleRefused(f"The trust policy of {role_arn} does not let {principal} assume it.")
        return role


def begin_session(role: Mapping[str, Any], session: str, account: str, seconds: float) -> Credentials:
    """The keys of a new session of a role."""
    key = "ASIA" + "".join(secrets.choice(_KEY_LETTERS) for _ in range(16))
    secret, token = secrets.token_urlsafe(30), secrets.token_urlsafe(120)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{account}:assumed-role/{role['RoleName']}/{session}",
            "UserId": f"{role['RoleId']}:{session}",
            "SecretAccessKey": secret,
            "SessionToken": token,
            "Expiration": time.time() + seconds,
            "AccountId": account,
            "PrincipalType": "AssumedRole",
        },
    )
    return Credentials(key, secret, token)


def _of_every_resource(trust: str) -> dict[str, object]:
    """A trust policy as a resource policy: its statements name no resource, since it is the role's own."""
    document = json.loads(trust)
    statements = document["Statement"]
    statements = [statements] if isinstance(statements, dict) else statements
    return {**document, "Statement": [{**statement, "Resource": "*"} for statement in statements]}
