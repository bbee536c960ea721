"""What shall go wrong? Faults that a test asks for: of a variant's instances, and of the cloud's own operations.

They are kept in memory only, until they are used up, run out, or are cleared; a restart forgets them.

Example:
    >>> faults = Faults()
    >>> faults.add({"endpoint": "orders", "variant": "challenger", "effect": "error", "status": 500, "share": 0.5})
    >>> faults.add({"service": "sagemaker", "operation": "UpdateEndpoint", "effect": "drop_after", "calls": 1})
    >>> faults.add({"service": "dynamodb", "operation": "PutItem", "effect": "throttle", "containing": "orders"})
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

VARIANT_EFFECTS = {
    "error": "the container answers `status`",
    "delay": "the container takes `milliseconds` longer",
    "hang": "the container does not answer; the invocation times out, after `milliseconds` if they are given",
    "crash": "the container's process is killed as the request reaches it",
    "answer": "the container answers 200 with `body`",
}
API_EFFECTS = {
    "throttle": "refused as throttled",
    "error": "refused as an internal failure",
    "drop_before": "not performed, and the connection closed without an answer, after `milliseconds`",
    "drop_after": "performed, and the connection closed without an answer, after `milliseconds`",
}
_ROUTER_NAMES = {"cloudwatch": "monitoring", "sagemaker-runtime": "sagemaker"}
_VARIANT = {"endpoint", "variant"}
_API = {"service", "operation"}


class FaultError(Exception):
    """A fault that makes no sense; the text names the member, its value and what was expected."""


@dataclass
class Fault:
    """One thing that goes wrong.

    Attributes:
        id: Names it in `clear`.
        target: Endpoint and variant, or service and operation; each a name or a glob.
        of_api: Whether the target is a service's operation.
        account: Of the requests, a number or a glob.
        effect: One of `VARIANT_EFFECTS` or `API_EFFECTS`.
        share: Of the requests that match, 0 to 1.
        calls: Requests that it still hits; None for any number.
        until: `time.monotonic()` at which it ends; None for never.
        status: HTTP status of effect `error` of a variant.
        milliseconds: Of `delay`, `hang` and the drops; None when not given.
        body: Of effect `answer`.
        containing: Of an operation: only requests whose body has this text, such as a resource's name; empty for all.
        hits: Requests that it has hit.
    """

    id: str
    target: tuple[str, str]
    of_api: bool
    account: str
    effect: str
    share: float = 1.0
    calls: int | None = None
    until: float | None = None
    status: int = 500
    milliseconds: float | None = None
    body: str = ""
    containing: str = ""
    hits: int = 0

    @property
    def seconds(self) -> float:
        """`milliseconds` in seconds; 0 when not given."""
        return (self.milliseconds or 0) / 1000

    @property
    def over(self) -> bool:
        """Whether it hits nothing any more."""
        return self.calls == 0 or (self.until is not None and time.monotonic() >= self.until)

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with the members that `add` takes."""
        names = ("service", "operation") if self.of_api else ("endpoint", "variant")
        target = dict(zip(names, self.target, strict=True))
        shown: dict[str, Any] = {"id": self.id, "account": self.account, **target, "effect": self.effect}
        shown |= {"share": self.share, "hits": self.hits}
        if self.calls is not None:
            shown["calls"] = self.calls
        if self.until is not None:
            shown["seconds"] = round(max(0.0, self.until - time.monotonic()), 3)
        if self.milliseconds is not None:
            shown["milliseconds"] = self.milliseconds
        if not self.of_api and self.effect == "error":
            shown["status"] = self.status
        if self.effect == "answer":
            shown["body"] = self.body
        if self.containing:
            shown["containing"] = self.containing
        return shown


class Faults:
    """All faults of one cloud."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(self, document: Mapping[str, Any]) -> Fault:
        """Begin a fault.

        Args:
            document: `endpoint` and `variant`, or `service` and `operation` (globs), `effect`, and optionally
                `account` (a glob), `share`, `calls`, `seconds`, `milliseconds`, `status`, `body`, `containing`.

        Raises:
            FaultError: A member is missing, unknown, or has a value that is not allowed.
        """
        of_api = bool(_API & document.keys())
        names = ("service", "operation") if of_api else ("endpoint", "variant")
        effects = API_EFFECTS if of_api else VARIANT_EFFECTS
        allowed = {*names, "account", "effect", "share", "calls", "seconds", "milliseconds"}
        allowed |= {"containing"} if of_api else {"status", "body"}
        unknown = sorted(document.keys() - allowed)
        if unknown:
            raise FaultError(f"unknown member {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")
        target = tuple(_text(document, name) for name in names)
        effect = document.get("effect")
        if effect not in effects:
            raise FaultError(f"effect is {effect!r}, expected one of {', '.join(effects)}")
        seconds = _number(document, "seconds", 0, 86400)
        if effect == "delay" and "milliseconds" not in document:
            raise FaultError("effect 'delay' needs milliseconds")
        calls = _number(document, "calls", 1, 1_000_000)
        fault = Fault(
            id=f"fault-{next(self._numbers)}",
            target=(_ROUTER_NAMES.get(target[0], target[0]) if of_api else target[0], target[1]),
            of_api=of_api,
            account=_text(document, "account", "a number or a glob such as '*'") if "account" in document else "*",
            effect=effect,
            share=float(_number(document, "share", 0, 1, 1.0) or 0),
            calls=None if calls is None else int(calls),
            until=None if seconds is None else time.monotonic() + seconds,
            status=int(_number(document, "status", 400, 599, 500) or 500),
            milliseconds=_number(document, "milliseconds", 0, 3_600_000),
            body=str(document.get("body", "")),
            containing=_text(document, "containing", "a text") if "containing" in document else "",
        )
        self._faults.append(fault)
        return fault

    def all(self) -> list[Fault]:
        """Those that still hit something, the oldest first."""
        self._faults = [fault for fault in self._faults if not fault.over]
        return list(self._faults)

    def clear(self, fault_id: str | None = None) -> int:
        """End one fault, or all; answers how many ended."""
        before = len(self.all())
        self._faults = [fault for fault in self._faults if fault_id not in (None, fault.id)]
        return before - len(self._faults)

    def of_variant(self, account: str, endpoint: str, variant: str) -> list[Fault]:
        """The faults that hit this invocation, each counted."""
        if not self._faults:
            return []
        return list(self._hit(lambda fault: not fault.of_api, account, (endpoint, variant)))

    @property
    def of_apis(self) -> bool:
        """Whether any operation may go wrong, so that requests need to be looked at."""
        return any(fault.of_api and not fault.over for fault in self._faults)

    def of_call(self, account: str, service: str, operation: str, body: bytes = b"") -> Fault | None:
        """The first fault that hits this call of an operation, counted."""

        def meant(fault: Fault) -> bool:
            return fault.of_api and fault.containing.encode() in body

        return next(self._hit(meant, account, (service, operation)), None)

    def _hit(self, kind: Callable[[Fault], bool], account: str, names: tuple[str, str]) -> Iterator[Fault]:
        for fault in self._faults:
            wanted = (fault.account, *fault.target)
            if fault.over or not kind(fault) or not all(map(fnmatchcase, (account, *names), wanted)):
                continue
            if random.random() >= fault.share:  # noqa: S311 - chance, not a secret
                continue
            fault.hits += 1
            if fault.calls is not None:
                fault.calls -= 1
            yield fault


def _text(document: Mapping[str, Any], name: str, expected: str = "a name or a glob such as '*'") -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise FaultError(f"{name} is {value!r}, expected {expected}")
    return value


def _number(
    document: Mapping[str, Any], name: str, least: float, most: float, default: float | None = None
) -> float | None:
    value = document.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise FaultError(f"{name} is {value!r}, expected a number from {least:g} to {most:g}")
    return value
