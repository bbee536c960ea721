"""How is a service of this cloud asked in AWS's JSON protocol, without a client of boto3?

A client brings the model of its service, which takes tens of megabytes for SageMaker. What comes back is not looked at.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session

_JSON = "application/x-amz-json-1.1"
_SECONDS = 60


class JsonCalls:
    """Asks the services of one cloud.

    Args:
        url: The cloud's.
        region: That requests are signed for.
    """

    def __init__(self, url: str, region: str) -> None:
        self._url = url
        self._region = region
        self._session = URLLib3Session(timeout=_SECONDS, max_pool_connections=16)

    def ask(
        self, credentials: Credentials, service: str, target: str, operation: str, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Ask once; blocks.

        Args:
            credentials: Who asks.
            service: The name that the signature has, e.g. `sagemaker`.
            target: What stands before the operation in X-Amz-Target, e.g. `SageMaker`.
            operation: Its name.
            given: Its input.

        Raises:
            ClientError: The service refuses.
            HTTPClientError: It cannot be reached.
        """
        headers = {"Content-Type": _JSON, "X-Amz-Target": f"{target}.{operation}"}
        request = AWSRequest("POST", f"{self._url}/", headers, json.dumps(given).encode())
        SigV4Auth(credentials, service, self._region).add_auth(request)
        answer = self._session.send(request.prepare())
        document = _document(answer.content)
        if answer.status_code == 200:
            return document
        error: Any = {
            "Error": {
                "Code": str(document.get("__type", "UnknownError")).rpartition("#")[2],
                "Message": str(document.get("message") or document.get("Message") or answer.content[:200]),
            },
            "ResponseMetadata": {"HTTPStatusCode": answer.status_code},
        }
        raise ClientError(error, operation)


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
