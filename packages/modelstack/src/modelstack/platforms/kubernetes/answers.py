"""Errors for the refusals of an API server.

Source: Kubernetes API conventions, "Response Status Kind" and "HTTP Status codes".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from modelstack.rollout.core.errors import Busy, Conflict, RolloutError, Unavailable, Unreachable


class NotFound(Unavailable):
    """The object does not exist, or the API server does not know its kind."""


class Exists(Busy):
    """An object of this name was created a moment ago."""


class Forbidden(Unavailable):
    """The caller is not authenticated or not authorized."""


class Owned(RolloutError):
    """The fields belong to another field manager, which the message names."""


def refused(answer: httpx.Response, doing: str, who: str) -> RolloutError:
    """The error for a failed response to `doing`, sent as `who`."""
    status = _status(answer)
    words = str(status.get("message") or answer.text.strip()[:500] or answer.reason_phrase)
    text = f"{doing}: {words}"
    code, reason, details = answer.status_code, status.get("reason"), status.get("details") or {}
    if code == httpx.codes.TOO_MANY_REQUESTS:
        after = answer.headers.get("Retry-After")
        return Busy(f"{text} (the API server takes it in {after} s)" if after else text)
    if code >= httpx.codes.INTERNAL_SERVER_ERROR:
        return Unreachable(text)
    if code == httpx.codes.CONFLICT:
        owned = any(item.get("reason") == "FieldManagerConflict" for item in details.get("causes") or ())
        kind = Exists if reason == "AlreadyExists" else Owned if owned else Conflict
        return kind(text)
    if code == httpx.codes.NOT_FOUND:
        return NotFound(text if reason == "NotFound" and details.get("name") else f"{text} (no such kind there)")
    if code in {httpx.codes.FORBIDDEN, httpx.codes.UNAUTHORIZED}:
        return Forbidden(f"{text} (asked as {who})")
    return RolloutError(text)


def _status(answer: httpx.Response) -> Mapping[str, Any]:
    """The Status object of a response; empty if it has none, such as a proxy's."""
    try:
        content: Any = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) and content.get("kind") == "Status" else {}
