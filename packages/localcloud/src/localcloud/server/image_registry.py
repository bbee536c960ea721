"""Who may pull and push images: the container registry asks for a token of ECR, and for the rights of who has it.

ministack asks for neither. A login's password is a token with the key that got it, so that what comes with it is
allowed or refused as a request that the key signs. A name below `<account>/` is one of another account's registry, for
clients that reach all registries under the one address of this cloud; such images can be pulled.

Source: Amazon ECR user guide, "Private registry authentication" and "Private repository policies"; the actions of each
request are those of "IAM permissions for pushing/pulling an image".
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from ministack import app
from ministack.core import iam_evaluator, responses
from ministack.core.iam_evaluator import AuthError
from ministack.services import ecr

from localcloud.server.limits import missing_layers
from localcloud.server.platform import Answer
from localcloud.server.tokens import Tokens

_LOGIN_SECONDS = 12 * 3600
_OF_ANOTHER = re.compile(r"/v2/(\d{12})/(.+)")
_ACTIONS = {
    ("manifest", "GET"): "BatchGetImage",
    ("manifest", "HEAD"): "BatchGetImage",
    ("manifest", "PUT"): "PutImage",
    ("manifest", "DELETE"): "BatchDeleteImage",
    ("blob", "GET"): "GetDownloadUrlForLayer",
    ("blob", "HEAD"): "BatchCheckLayerAvailability",
    ("blob", "DELETE"): "BatchDeleteImage",
    ("blob_uploads", "POST"): "InitiateLayerUpload",
    ("blob_upload_session", "GET"): "UploadLayerPart",
    ("blob_upload_session", "PATCH"): "UploadLayerPart",
    ("blob_upload_session", "PUT"): "CompleteLayerUpload",
    ("blob_upload_session", "DELETE"): "CompleteLayerUpload",
    ("tags_list", "GET"): "ListImages",
    ("catalog", "GET"): "DescribeRepositories",
}


class ImageRegistry:
    """The door of the registry.

    Args:
        tokens: Makes what logs in.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def guard(self) -> None:
        """Have ministack ask who pulls or pushes."""
        answer, give = ecr.handle_registry_request, ecr._get_authorization_token

        async def answer_who_may(
            method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
        ) -> Any:
            key = self._key(headers.get("authorization", ""))
            if key is None:
                return _unauthorized(headers.get("host", ""))
            responses.set_request_account_id(app._request_account_scope(key))
            with responses.request_scope(responses.get_account_id(), responses.get_region()):
                caller = responses.get_account_id()
                path = _select_registry(method, path, headers, query)
                refusal = _refusal(key, caller, method, path) or _incomplete(method, path, body)
                return refusal or await answer(method, path, headers, body, query)

        def give_token(data: dict[str, Any]) -> Any:
            status, headers, body = give(data)
            document = json.loads(body)
            key = iam_evaluator._verified_key.get()
            for given in document["authorizationData"]:
                password = f"{key}-{self._tokens.given(_purpose(key), _LOGIN_SECONDS)}"
                given["authorizationToken"] = base64.b64encode(f"AWS:{password}".encode()).decode()
            return status, headers, json.dumps(document).encode()

        ecr.handle_registry_request, ecr._get_authorization_token = answer_who_may, give_token

    def _key(self, authorization: str) -> str | None:
        key, _, token = _password(authorization).partition("-")
        return key if self._tokens.valid(token, _purpose(key)) else None


def _purpose(key: str) -> str:
    return f"registry as {key}"


def _select_registry(method: str, path: str, headers: dict[str, str], query: dict[str, list[str]]) -> str:
    """Turn to the account and region whose registry a request is for; answers its path there."""
    _, name, _ = ecr._parse_v2_path(path) or ("", "", "")
    other = _OF_ANOTHER.fullmatch(path)
    if other and method in {"GET", "HEAD"} and name not in ecr._repositories:
        responses.set_request_account_id(other[1])
        path, name = f"/v2/{other[2]}", name.partition("/")[2]
    ecr._select_registry_request_scope(name, headers, query)
    return path


def _refusal(key: str, caller: str, method: str, path: str) -> Answer | None:
    """The answer to a request that the caller's policies, or another account's repository, do not allow."""
    verb, name, _ = ecr._parse_v2_path(path) or ("", "", "")
    action = _ACTIONS.get((verb, method.upper()))
    if action is None:
        return None  # it does nothing
    region = responses.get_region()
    arn = ecr._repo_arn(name) if name else "*"
    with responses.request_scope(caller, region):
        denied = iam_evaluator.enforce(key, f"ecr:{action}", "ecr", region, resource_arn=arn)
    if denied is None:
        return None
    if isinstance(denied, AuthError):
        return _error(403, "DENIED", denied.message)
    return _error(
        403, "DENIED", f"User: {denied.principal_arn} is not authorized to perform: ecr:{action} on resource: {arn}"
    )


def _incomplete(method: str, path: str, body: bytes) -> Answer | None:
    """The answer to a manifest whose layers were not pushed before."""
    verb, name, _ = ecr._parse_v2_path(path) or ("", "", "")
    text = missing_layers(name, body) if (verb, method.upper()) == ("manifest", "PUT") else ""
    return _error(404, "BLOB_UPLOAD_UNKNOWN", text) if text else None


def _unauthorized(host: str) -> Answer:
    status, headers, body = _error(401, "UNAUTHORIZED", "authentication required")
    return status, {**headers, "WWW-Authenticate": f'Basic realm="http://{host}/",service="ecr.amazonaws.com"'}, body


def _error(status: int, code: str, message: str) -> Answer:
    errors = [{"code": code, "message": message, "detail": None}]
    return status, {"Content-Type": "application/json"}, json.dumps({"errors": errors}).encode()


def _password(authorization: str) -> str:
    kind, _, given = authorization.partition(" ")
    try:
        return base64.b64decode(given, validate=True).decode().partition(":")[2] if kind == "Basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        return ""
