"""The token of an endpoint, for sending captures and labels to the controller and for reading them.

It is in a Secret of the endpoint. Pods get it as an environment variable, people by the right to read the Secret.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping

from platforms.kubernetes import names
from platforms.kubernetes.answers import Exists, NotFound
from platforms.kubernetes.api import Api, Object
from platforms.kubernetes.kinds import SECRET
from rollout.core.errors import RolloutError

HEADER = "x-modelstack-token"
KEY = "token"
_AGAIN_SECONDS = 5.0  # after which a token that does not fit is read anew: it may be that of a stack that was made anew


def secret_name(endpoint: str) -> str:
    """The name of an endpoint's Secret."""
    return f"{endpoint}-token"


def make(api: Api, endpoint: str, labels: Mapping[str, str]) -> None:
    """Create the Secret unless it exists; it never changes."""
    immutable_secret(api, secret_name(endpoint), labels, lambda: {KEY: secrets.token_hex(32).encode()})


def immutable_secret(
    api: Api, name: str, labels: Mapping[str, str], content: Callable[[], Mapping[str, bytes]]
) -> Object:
    """The Secret of this name, created with the content unless it exists; concurrent callers get the same."""
    found = api.find(SECRET, name)
    if found is not None:
        return found
    metadata = {"name": name, "labels": dict(labels)}
    data = {key: base64.b64encode(value).decode() for key, value in content().items()}
    secret = {"metadata": metadata, "type": "Opaque", "immutable": True, "data": data}
    try:
        return api.create(SECRET, secret, manager=names.PROGRAM)
    except Exists:  # another update of the stack was faster
        return api.get(SECRET, name)


def read(api: Api, endpoint: str) -> str:
    """The token of an endpoint; raises NotFound, or RolloutError if the Secret has none."""
    found = api.get(SECRET, secret_name(endpoint))
    try:
        return base64.b64decode(found["data"][KEY]).decode("ascii")
    except (KeyError, TypeError, ValueError):
        where = f"{api.namespace}/{secret_name(endpoint)}"
        raise RolloutError(f"Secret {where} has no token under {KEY!r}") from None


class Tokens:
    """The tokens of a namespace's endpoints, cached. `clock` gives monotonic seconds."""

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = api, clock
        self._known: dict[str, tuple[str, float]] = {}

    def admits(self, endpoint: str, given: str) -> bool:
        """Whether this is the endpoint's token."""
        known, at = self._known.get(endpoint, ("", -_AGAIN_SECONDS))
        if known and hmac.compare_digest(known.encode(), given.encode()):
            return True
        if not given or self._clock() - at < _AGAIN_SECONDS:
            return False
        try:
            known = read(self._api, endpoint)
        except NotFound:
            known = ""
        self._known[endpoint] = (known, self._clock())
        return bool(known) and hmac.compare_digest(known.encode(), given.encode())
