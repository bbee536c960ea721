"""HTTP connection to one MLflow server, with one time limit for all calls.

Uses no proxy and follows no redirect, because it may send a secret.
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

from modelstack.records.tracking.variables import KEYS

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
CALL_SECONDS = 3.0  # default limit of one call
TICK_SECONDS = 5.0  # a controller's limit for updating MLflow, after everything that concerns traffic
_MOST_BYTES, _MOST_OF_ARTIFACT = 8 << 20, 2 << 30
_CHUNK = 1 << 16
_SAID = 300


class MlflowError(Exception):
    """A call to MLflow failed."""


class Silent(MlflowError):
    """No answer in time. The same call may succeed later."""


class Refused(MlflowError):
    """MLflow refused or failed the request; other requests may succeed.

    Attributes:
        code: MLflow's error code, such as RESOURCE_DOES_NOT_EXIST; empty if the answer is not MLflow's.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class HttpRequest:
    """One request, as a signer needs it."""

    method: str
    url: str
    body: bytes


Authorize = Callable[[HttpRequest], Mapping[str, str]]  # returns the authentication headers of a request


def bearer(environ: Mapping[str, str]) -> Authorize:
    """Authenticate as MLflow's own clients do, with the token, or user and password, of their environment variables."""
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
    """A persistent connection. All calls end by `until` (monotonic clock); each takes at most `each` seconds."""

    url: str
    authorize: Authorize = field(repr=False)
    until: float
    each: float = CALL_SECONDS
    _kept: http.client.HTTPConnection | None = None

    @classmethod
    def to(cls, url: str, authorize: Authorize, seconds: float, each: float = CALL_SECONDS) -> Connection:
        """A connection for `seconds` from now."""
        return cls(url.rstrip("/"), authorize, time.monotonic() + seconds, each)

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Call MLflow's API and return its JSON; `path` is relative to the API, such as `runs/create`.

        Silent without an answer in time, Refused if MLflow refuses or the server is not MLflow.
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
        """Store an artifact by its path below the server's artifacts; raises as `call`."""
        self._ask("PUT", ARTIFACTS + quote(path), content, "application/octet-stream")

    def get(self, path: str) -> bytes:
        """Read an artifact by its path below the server's artifacts; raises as `call`."""
        return self._ask("GET", ARTIFACTS + quote(path), b"", "application/octet-stream", most=_MOST_OF_ARTIFACT)

    def close(self) -> None:
        """Close the connection."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _ask(self, method: str, target: str, body: bytes, kind: str, most: int = _MOST_BYTES) -> bytes:
        where = urlsplit(self.url + target)
        headers = {"Content-Type": kind, **self.authorize(HttpRequest(method, self.url + target, body))}
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
    """Read a whole answer within the limits, even if it arrives slowly."""
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
