"""Who is let in: whoever signs with keys of an account's root, or with keys that IAM, STS or a service gave out.

ministack takes the key `test`, any twelve digits and an unsigned request for root's, makes a function's keys from its
name alone, and asks for nothing at the links to code. Each of these asks for a secret here. What no signature of AWS
guards asks for a token, which is made from the secret of the cloud's own account.

Source: AWS Lambda API reference, `FunctionCodeLocation`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ministack import app
from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.responses import get_account_id
from ministack.services import lambda_svc, s3, sts

from localcloud.server.accounts import Accounts
from localcloud.server.credentials import FAULTS
from localcloud.server.image_registry import ImageRegistry
from localcloud.server.tokens import Tokens

_LINK_SECONDS = 600
_NAMELESS_BUCKETS = {"s3:ListAllMyBuckets", "s3:CreateBucket"}
_LINKS = ("/_ministack/lambda-code/", "/_ministack/lambda-layers/")


class Doors:
    """The doors of one cloud.

    Args:
        accounts: Whose roots may come in.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self._keys = accounts.keys(accounts.own)
        self._tokens = Tokens(self._keys)

    def guard(self) -> None:
        """Have ministack ask for what only the cloud itself gives out."""
        self._know_roots()
        self._refuse_the_unsigned()
        self._hide_function_keys()
        ImageRegistry(self._tokens).guard()
        for name in ("_presigned_code_url", "_layer_content_url"):
            setattr(lambda_svc, name, self._signing(getattr(lambda_svc, name)))

    def opens_link(self, path: str, query: bytes) -> bool:
        """Whether a path needs no token, or the query has the one that it was given out with."""
        if not path.startswith(_LINKS):
            return True
        asked = parse_qs(query.decode("latin-1"))
        return self._tokens.valid(asked.get("token", [""])[0], path)

    def opens_faults(self, authorization: str) -> bool:
        """Whether a request may see and change faults."""
        return hmac.compare_digest(authorization.encode(), f"Bearer {self._keys.token(FAULTS)}".encode())

    def _know_roots(self) -> None:
        """Have the roots' keys resolved to their accounts, each with a secret of its own that signs.

        To ministack they are no root's keys: it checks no signature of these.
        """
        owner, resolve = iam_evaluator.find_iam_access_key_account, iam_evaluator.resolve_credential

        def find_iam_access_key_account(access_key_id: str) -> str | None:
            root = self._accounts.root(access_key_id)
            return owner(access_key_id) if root is None else root.account

        def resolve_credential(
            access_key_id: str,
            account_id: str | None = None,
            session_token: Any = iam_evaluator._SESSION_TOKEN_NOT_CHECKED,
        ) -> Any:
            root = self._accounts.root(access_key_id)
            if root is None:
                return resolve(access_key_id, account_id, session_token)
            if root.account != (account_id or get_account_id()):
                return iam_evaluator._unknown_access_key()
            return iam_evaluator._validate_session_token(None, session_token) or iam_evaluator.ResolvedCredential(
                access_key_id=access_key_id,
                secret_access_key=root.keys.secret_access_key,
                account_id=root.account,
                principal_arn=root.arn,
                principal_id=root.account,
                principal_type="Root",
                source_access_key_id=access_key_id,
            )

        for module in (iam_evaluator, app, s3, sts):
            module.find_iam_access_key_account = find_iam_access_key_account
        for module in (iam_evaluator, s3, sts):
            module.resolve_credential = resolve_credential
        for module in (iam_evaluator, sts):
            module.is_root_access_key = lambda access_key_id: False

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

    def _signing(self, make: Any) -> Any:
        def signed(*arguments: Any) -> str:
            url = str(make(*arguments))
            token = self._tokens.given(urlsplit(url).path, _LINK_SECONDS)
            return f"{url}{'&' if '?' in url else '?'}token={token}"

        return signed
