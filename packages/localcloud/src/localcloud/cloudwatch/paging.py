"""Pages of a list: a token says where the next one starts, and holds only for the request that it was given for."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from localcloud.cloudwatch.errors import invalid_token

Item = TypeVar("Item")
_PAGING = ("NextToken", "MaxRecords", "MaxDatapoints")


def offset(request: Mapping[str, Any]) -> int:
    """Where the page that a request asks for starts.

    Raises:
        CloudWatchError: Its token was not given for this request.
    """
    token = request.get("NextToken")
    if not token:
        return 0
    try:
        start, digest = json.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):
        raise invalid_token(token) from None
    if digest != _digest(request) or not isinstance(start, int) or start < 0:
        raise invalid_token(token)
    return start


def token(request: Mapping[str, Any], start: int) -> str:
    """The token of the page that starts at `start`."""
    return base64.urlsafe_b64encode(json.dumps([start, _digest(request)]).encode()).decode()


def page(request: Mapping[str, Any], items: Sequence[Item], size: int) -> tuple[Sequence[Item], dict[str, str]]:
    """The items of the page that a request asks for, and `NextToken` when there are more."""
    start = offset(request)
    end = start + size
    return items[start:end], {"NextToken": token(request, end)} if end < len(items) else {}


def _digest(request: Mapping[str, Any]) -> str:
    kept = {name: value for name, value in request.items() if name not in _PAGING}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]
