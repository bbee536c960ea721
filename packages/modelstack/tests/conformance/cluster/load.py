"""A constant load on a gateway, each request once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import urllib3

from modelstack.platforms.kubernetes.names import TARGET_HEADER, VARIANT_HEADER
from tests.platforms.aws.on_cloud import BODY, PREDICTION, named
from tests.platforms.load import RATE, Asked, Load

__all__ = ["PREDICTION", "GatewayLoad", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """The target of requests: a host, and a variant by name or by the weights."""

    host: str
    target: str = ""

    @property
    def headers(self) -> dict[str, str]:
        target = {TARGET_HEADER: self.target} if self.target else {}
        return {"Host": self.host, "Content-Type": "application/json", "Accept": "application/json", **target}


class GatewayLoad(Load):
    def __init__(self, address: str, wanted: Wanted, name: str, rate: float = RATE, workers: int = 2) -> None:
        super().__init__(self._once, name, rate, workers)
        self._headers = wanted.headers
        there = urlsplit(address)
        self._pool = urllib3.HTTPConnectionPool(
            str(there.hostname), there.port or 80, maxsize=workers, retries=False,
            timeout=urllib3.Timeout(connect=60, read=70),
        )  # fmt: skip

    def _once(self, name: str) -> Asked:
        at = time.time()
        headers = {**self._headers, "X-Amzn-SageMaker-Inference-Id": name}
        try:
            answer = self._pool.request("POST", "/invocations", body=BODY, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            return Asked(name, at, 0, named(str(error)), repr(error))
        variant = answer.headers.get(VARIANT_HEADER, "")
        if answer.status == 200:
            return Asked(name, at, 200, variant)
        text = answer.data.decode()
        return Asked(name, at, answer.status, variant or named(text), text)
