"""The token of an endpoint: who has it may bring captures and labels to the controller, and read what it keeps.

    make(api, "flight-delay-prod", labels)             # once, by the program
    Tokens(api).admits("flight-delay-prod", given)     # by the controller

It is in a Secret of the endpoint's own. Pods of its models have it by their environment, and a person by the right to
read that Secret.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from platforms.kubernetes import names
from platforms.kubernetes.answers import Exists, NotFound
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import SECRET
from rollout.core.errors import RolloutError

HEADER = "x-modelstack-token"
KEY = "token"
_AGAIN_SECONDS = 5.0  # after which a token that does not fit is read anew: it may be that of a stack that was made anew


def secret_name(endpoint: str) -> str:
    """The name of the Secret of an endpoint."""
    return f"{endpoint}-token"


def make(api: Api, endpoint: str, labels: Mapping[str, str]) -> None:
    """Make the Secret unless it is there; it never changes.

    Raises:
        RolloutError: It may not be made.
    """
    if api.find(SECRET, secret_name(endpoint)) is not None:
        return
    secret = {
        "metadata": {"name": secret_name(endpoint), "labels": dict(labels)},
        "type": "Opaque",
        "immutable": True,
        "data": {KEY: base64.b64encode(secrets.token_hex(32).encode()).decode()},
    }
    with suppress(Exists):  # another update of the stack was faster: its token counts
        api.create(SECRET, secret, manager=names.PROGRAM)


def read(api: Api, endpoint: str) -> str:
    """The token of an endpoint.

    Raises:
        NotFound: It has none yet.
        RolloutError: It may not be read, or is none.
    """
    found = api.get(SECRET, secret_name(endpoint))
    try:
        return base64.b64decode(found["data"][KEY]).decode("ascii")
    except (KeyError, TypeError, ValueError):
        where = f"{api.namespace}/{secret_name(endpoint)}"
        raise RolloutError(f"Secret {where} has no token under {KEY!r}") from None


class Tokens:
    """The tokens of a namespace's endpoints, each read once.

    Args:
        api: The namespace.
        clock: Monotonic seconds.
    """

    def __init__(self, api: Api, clock: Callable[[], float] = time.monotonic) -> None:
        self._api, self._clock = api, clock
        self._known: dict[str, tuple[str, float]] = {}

    def admits(self, endpoint: str, given: str) -> bool:
        """Whether a token is that of an endpoint.

        Raises:
            RolloutError: That cannot be told.
        """
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
