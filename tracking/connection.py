"""One MLflow server, and how it is asked: over HTTP, within a time that is given once for all calls.

    connection = Connection.to("http://127.0.0.1:5000", bearer(os.environ), seconds=5)
    connection.call("GET", "experiments/get-by-name", query={"experiment_name": "flight-delay-local"})

It goes where it is told, over no proxy, and follows no redirection: what it sends may be a secret.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tracking.variables import KEYS

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
CALL_SECONDS = 3.0
"""The longest that one call may take, unless it is told otherwise."""
TICK_SECONDS = 5.0
"""The longest that a controller tries to tell of rollouts, after all that concerns traffic."""
_MOST_BYTES, _MOST_OF_ARTIFACT = 8 << 20, 2 << 30
_CHUNK = 1 << 16
_SAID = 300


class MlflowError(Exception):
    """MLflow did not do what was asked; the message says what, and why."""


class Silent(MlflowError):
    """It does not answer, or not in time. The same call later may succeed."""


class Refused(MlflowError):
    """It answered that it does not do that, or failed at it. Something else it may do.

    Attributes:
        code: MLflow's name of the error, such as RESOURCE_DOES_NOT_EXIST; empty of what is no error of MLflow's.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Request:
    """One request, as whoever signs it needs it."""

    method: str
    url: str
    body: bytes


Authorize = Callable[[Request], Mapping[str, str]]
"""The headers that say who asks."""


def bearer(environ: Mapping[str, str]) -> Authorize:
    """As MLflow's own clients: a token, or a user with a password, from the variables that these read."""
    token, user, password = (environ.get(name, "") for name in KEYS.values())
    if token:
        headers = {"Authorization": f"Bearer {token}"}
    elif user:
        headers = {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}
    else:
        headers = {}
    return lambda _: headers


@dataclass
class Connection:
    """A connection that is kept for all calls, which end together when the time is over.

    Attributes:
        url: `http(s)://HOST[:PORT][/PATH]`.
        authorize: Gives the headers that say who asks.
        until: When the time is over, by the monotonic clock.
        each: The longest that one call may take, seconds.
    """

    url: str
    authorize: Authorize = field(repr=False)
    until: float
    each: float = CALL_SECONDS
    _kept: http.client.HTTPConnection | None = None

    @classmethod
    def to(cls, url: str, authorize: Authorize, seconds: float, each: float = CALL_SECONDS) -> Connection:
        """A connection for so many seconds from now."""
        return cls(url.rstrip("/"), authorize, time.monotonic() + seconds, each)

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Call MLflow's API and return its JSON.

        Args:
            method: GET, POST, PATCH or DELETE.
            path: Below the API, such as `runs/create`.
            body: What is sent as JSON.
            query: What is asked for in the URL.

        Raises:
            Silent: There is no answer in time.
            Refused: MLflow refuses, or something else than MLflow answers.
        """
        content = json.dumps(body).encode() if body is not None else b""
        text = self._ask(method, API + path + (f"?{urlencode(query)}" if query else ""), content, "application/json")
        try:
            found: Any = json.loads(text or b"{}")
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Refused(f"{self.url} answers {path} with something else than JSON: it is no MLflow server")
        return found

    def put(self, path: str, content: bytes) -> None:
        """Put an artifact, by its path below the server's artifacts; raises as `call`."""
        self._ask("PUT", ARTIFACTS + quote(path), content, "application/octet-stream")

    def get(self, path: str) -> bytes:
        """An artifact, by its path below the server's artifacts; raises as `call`."""
        return self._ask("GET", ARTIFACTS + quote(path), b"", "application/octet-stream", most=_MOST_OF_ARTIFACT)

    def close(self) -> None:
        """Let go of the server."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _ask(self, method: str, target: str, body: bytes, kind: str, most: int = _MOST_BYTES) -> bytes:
        where = urlsplit(self.url + target)
        headers = {"Content-Type": kind, **self.authorize(Request(method, self.url + target, body))}
        named = target.partition("?")[0].rpartition("mlflow/")[2]
        end = min(self.until, time.monotonic() + self.each)
        try:
            connection = self._connected(end)
            connection.request(method, f"{where.path}?{where.query}" if where.query else where.path, body, headers)
            answer = connection.getresponse()
            text = _body(answer, end, most)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise Silent(f"{self.url} does not answer ({type(error).__name__}: {error})") from error
        if answer.status > http.HTTPStatus.INTERNAL_SERVER_ERROR:  # 500 is of this request, others of the server
            raise Silent(f"{self.url} answers {named} with {answer.status}")
        if answer.status >= http.HTTPStatus.MULTIPLE_CHOICES:
            raise _refused(self.url, named, answer.status, text)
        return text

    def _connected(self, end: float) -> http.client.HTTPConnection:
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("its time is over")
        if self._kept is None:
            where = urlsplit(self.url)
            kind = http.client.HTTPSConnection if where.scheme == "https" else http.client.HTTPConnection
            self._kept = kind(where.hostname or "", where.port, timeout=left)
        self._kept.timeout = left
        if self._kept.sock is not None:
            self._kept.sock.settimeout(left)
        return self._kept


def _body(answer: http.client.HTTPResponse, end: float, most: int) -> bytes:
    """All of an answer, though it may come drop by drop."""
    found = bytearray()
    while chunk := answer.read1(_CHUNK):
        found += chunk
        if len(found) > most:
            raise ValueError(f"more than {most:,} bytes")
        if time.monotonic() > end:
            raise TimeoutError("the answer takes too long")
    answer.close()  # read1 leaves an answer open that it has read to its end
    return bytes(found)


def _refused(url: str, named: str, status: int, text: bytes) -> Refused:
    try:
        told: Any = json.loads(text)
        code, message = str(told["error_code"]), str(told.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = "", " ".join(text.decode(errors="replace").split())
    return Refused(f"{url} refuses {named} ({status} {code}): {message[:_SAID]}".replace(" )", ")"), code)
