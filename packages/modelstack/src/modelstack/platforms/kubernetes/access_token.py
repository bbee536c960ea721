"""The token of an endpoint, for sending wakes, captures and labels to the controller and for reading them.

It is in a Secret of the endpoint. Pods get it as an environment variable, people by the right to read the Secret.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping

from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import Exists, NotFound
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.kinds import SECRET
from modelstack.rollout.core.errors import RolloutError, Unreachable

HEADER, BEARER = "x-modelstack-token", "Bearer "
"""The header with the token, and the prefix of it in `Authorization`, which the API server's proxy does not forward."""
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
    """The tokens of a namespace's endpoints, cached. `clock` gives monotonic seconds.

    Calls with wrong tokens cannot cause many requests: all endpoints together are read again once a second at most.
    """

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = api, clock
        self._known: dict[str, tuple[str, float, str]] = {}  # a token, when it was read, and why it could not be
        self._again_at = -_AGAIN_SECONDS

    def admits(self, endpoint: str, given: str) -> bool:
        """Whether this is the endpoint's token; raises Unreachable if that cannot be known now."""
        if not given:
            return False
        now = self._clock()
        token, at, why = self._known.get(endpoint, ("", -_AGAIN_SECONDS, ""))
        is_first = endpoint not in self._known
        if not _same(token, given) and now - at >= _AGAIN_SECONDS and (is_first or now - self._again_at >= 1):
            self._again_at = self._again_at if is_first else now
            token, why = self._read(endpoint, token)
            self._known[endpoint] = token, now, why
        if _same(token, given):
            return True
        if why:
            raise Unreachable(why)
        return False

    def _read(self, endpoint: str, before: str) -> tuple[str, str]:
        try:
            return read(self._api, endpoint), ""
        except NotFound:
            return "", ""
        except RolloutError as error:
            return before, str(error)


def _same(token: str, given: str) -> bool:
    return bool(token) and hmac.compare_digest(token.encode(), given.encode())
