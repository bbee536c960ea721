"""Client of the controller's port: sends labels, reads quality, audit records and predictions.

From outside the cluster it goes through the API server, which requires `create` (labels) and `get` (all else) on
`services/proxy`, and `get` on the Secret with the endpoint's token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import httpx

from modelstack.platforms.kubernetes import access_token
from modelstack.platforms.kubernetes.answers import Forbidden
from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.names import CONTROLLER, CONTROLLER_PORT
from modelstack.platforms.kubernetes.prediction_query import PredictionQuery
from modelstack.rollout.core.errors import Busy, RolloutError, Unreachable

_AGAIN = frozenset({408, 429, 503})
_DOWN = frozenset({500, 502, 504})
_NOBODY = frozenset({401, 403})


@dataclass(frozen=True)
class ControllerClient:
    """Client of a namespace's controller. `place` names it in messages; `token` reads an endpoint's token.

    Every call raises Unreachable without a response, Busy to retry later, Forbidden without the permission, and another
    RolloutError on other refusals.
    """

    client: httpx.Client
    place: str
    token: Callable[[str], str]

    @classmethod
    def of(cls, api: Api) -> ControllerClient:
        """The controller of a namespace."""
        place = f"{CONTROLLER}.{api.namespace}"
        return cls(api.reach(f"http://{place}:{CONTROLLER_PORT}"), place, cache(partial(access_token.read, api)))

    def bring_labels(self, endpoint: str, name: str, content: bytes) -> str:
        """Send a file of labels, each of which counts once; returns the file's URL."""
        path = f"labels/{endpoint}/{name}"
        self._call("POST", path, f"bring labels to {self.place}", endpoint, content=content)
        return f"http://{self.place}:{CONTROLLER_PORT}/{path}"

    def standings(self, endpoint: str, variants: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The quality of the variants that have labels, see `modelstack.monitoring.labels.standing.shown`."""
        asked = {"variant": list(variants)}
        doing = f"ask {self.place} how the variants of {endpoint} stand"
        return self._read(f"standings/{endpoint}", doing, endpoint, asked)

    def records(self, endpoint: str) -> Iterator[str]:
        """Every audit record as stored, by number."""
        doing, after = f"ask {self.place} for the audit record of {endpoint}", ""
        while True:
            page = self._read(f"records/{endpoint}", doing, endpoint, {"after": after} if after else {})
            yield from page["lines"]
            after = page["next"]
            if not after:
                return

    def predictions(self, endpoint: str, wanted: PredictionQuery) -> Iterator[dict[str, Any]]:
        """Pages of the matches of a prediction's id, newest first, in the form of `predictions.page`."""
        doing, left = f"ask {self.place} for a prediction of {endpoint}", wanted
        while left:
            told = self._read(f"predictions/{endpoint}", doing, endpoint, left.as_dict())
            yield told
            left = left.then(told)

    def _read(self, path: str, doing: str, endpoint: str, asked: dict[str, Any]) -> Any:
        answer = self._call("GET", path, doing, endpoint, params=asked)
        try:
            return answer.json()
        except json.JSONDecodeError as error:
            raise RolloutError(f"{doing}: got no JSON: {error}") from error

    def _call(self, method: str, path: str, doing: str, endpoint: str, **more: Any) -> httpx.Response:
        headers = {access_token.HEADER: self.token(endpoint)}
        try:
            answer = self.client.request(method, path, headers=headers, **more)
        except httpx.TransportError as error:
            raise Unreachable(f"{doing}: it does not answer: {str(error) or type(error).__name__}") from error
        if answer.is_success:
            return answer
        told = f"{doing}: {_said(answer)}"
        if answer.status_code in _AGAIN:
            raise Busy(told)
        if answer.status_code in _DOWN:
            raise Unreachable(told)
        if answer.status_code in _NOBODY:
            raise Forbidden(told)
        if answer.status_code == httpx.codes.NOT_FOUND and answer.text.strip() == "Not Found":
            raise RolloutError(f"{doing}: the controller there is older than this checkout, and does not know that")
        raise RolloutError(told)


def _said(answer: httpx.Response) -> str:
    """The message of the controller, or of the API server on the way."""
    try:
        body = answer.json()
    except ValueError:
        body = None
    words = str(body.get("message") or "") if isinstance(body, dict) else ""
    return words or " ".join(answer.text.split())[:500] or f"it answers {answer.status_code}"
