"""Who is let in: whoever signs with root's keys, or with keys that IAM, STS or a service gave out.

ministack takes the key `test`, any twelve digits and an unsigned request for root's, makes a function's keys from its
name alone, and asks for nothing at the container registry and at the links to code. Each of these asks for a secret
here. What no signature of AWS guards asks for a token, which is made from root's secret.

Source: Amazon ECR user guide, "Private registry authentication"; AWS Lambda API reference, `FunctionCodeLocation`.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.arn import parse_arn
from ministack.services import ecr, lambda_svc, sts

from localcloud.server.credentials import FAULTS, Credentials

_LOGIN_SECONDS = 12 * 3600
_LINK_SECONDS = 600
_NAMELESS_BUCKETS = {"s3:ListAllMyBuckets", "s3:CreateBucket"}
_LINKS = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")


class Doors:
    """The doors of one cloud.

    Args:
        keys: Root's.
    """

    def __init__(self, keys: Credentials) -> None:
        self._keys = keys

    def guard(self) -> None:
        """Have ministack ask for what only the cloud itself gives out."""
        self._know_root()
        self._refuse_the_unsigned()
        self._hide_function_keys()
        self._ask_at_the_registry()
        for name in ("_presigned_code_url", "_layer_content_url"):
            setattr(lambda_svc, name, self._signing(getattr(lambda_svc, name)))

    def opens_link(self, path: str, query: bytes) -> bool:
        """Whether a path needs no token, or the query has the one that it was given out with."""
        if not path.startswith(_LINKS):
            return True
        asked = parse_qs(query.decode("latin-1"))
        return self._valid(asked.get("token", [""])[0], path)

    def opens_faults(self, authorization: str) -> bool:
        """Whether a request may see and change faults."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._keys.token(FAULTS)}".encode())

    def _know_root(self) -> None:
        root = self._keys.access_key_id
        iam_evaluator.is_root_access_key = sts.is_root_access_key = lambda access_key_id: access_key_id == root
        # ministack checks no signature of root's key.
        iam_evaluator._is_root_key = lambda access_key_id: False

    def _refuse_the_unsigned(self) -> None:
        enforce = iam_evaluator.enforce

        def enforced(access_key_id: str, iam_action: str, service: str, region: str, *about: Any, **more: Any) -> Any:
            if not iam_evaluator._anonymous.get() or access_key_id:
                return enforce(access_key_id, iam_action, service, region, *about, **more)
            if iam_evaluator._served_unsigned(service, iam_action):
                return None
            if service == "s3" and iam_action not in _NAMELESS_BUCKETS:
                return None  # S3 asks the bucket's own policy and ACL
            return iam_evaluator.AuthError("MissingAuthenticationToken", "Request is missing Authentication Token")

        iam_evaluator.enforce = enforced

    def _hide_function_keys(self) -> None:
        def execution_credentials(config: Mapping[str, Any]) -> dict[str, str]:
            arn, role = config["FunctionArn"], config.get("Role", "")
            name, account = role.rsplit("/", 1)[-1], parse_arn(arn).account_id
            key, secret, token = (self._keys.token(f"{part} of {arn} as {role}") for part in ("key", "secret", "token"))
            key = f"ASIA{key[:16].upper()}"
            session = config.get("FunctionName", "function")[:64]
            sts.register_session(
                key,
                {
                    "Arn": f"arn:aws:sts::{account}:assumed-role/{name}/{session}",
                    "UserId": f"{name}:{session}",
                    "SecretAccessKey": secret,
                    "SessionToken": token,
                },
            )
            return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

        lambda_runtime.execution_credentials = lambda_svc.execution_credentials = execution_credentials

    def _ask_at_the_registry(self) -> None:
        answer, give = ecr.handle_registry_request, ecr._get_authorization_token

        async def answer_who_logged_in(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> Any:
            if self._valid(_password(headers.get("authorization", "")), "registry"):
                return await answer(method, path, headers, body, query)
            realm = f'Basic realm="http://{headers.get("host", "")}/",service="ecr.amazonaws.com"'
            refusal = {"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": None}]}
            shown = {"Content-Type": "application/json", "WWW-Authenticate": realm}
            return 401, shown, json.dumps(refusal).encode()

        def give_token(data: dict[str, Any]) -> Any:
            status, headers, body = give(data)
            document = json.loads(body)
            for given in document["authorizationData"]:
                password = self._given("registry", _LOGIN_SECONDS)
                given["authorizationToken"] = base64.b64encode(f"AWS:{password}".encode()).decode()
            return status, headers, json.dumps(document).encode()

        ecr.handle_registry_request, ecr._get_authorization_token = answer_who_logged_in, give_token

    def _signing(self, make: Any) -> Any:
        def signed(*arguments: Any) -> str:
            url = str(make(*arguments))
            token = self._given(urlsplit(url).path, _LINK_SECONDS)
            return f"{url}{'&' if '?' in url else '?'}token={token}"

        return signed

    def _given(self, purpose: str, seconds: float) -> str:
        until = str(int(time.time() + seconds))
        return f"{until}-{self._keys.token(f'{purpose} until {until}')}"

    def _valid(self, token: str, purpose: str) -> bool:
        until, _, proof = token.partition("-")
        expected = self._keys.token(f"{purpose} until {until}")
        return hmac.compare_digest(proof.encode(), expected.encode()) and until.isdigit() and int(until) > time.time()


def _password(authorization: str) -> str:
    kind, _, given = authorization.partition(" ")
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2] if kind == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
