"""An endpoint whose answers and labels meet in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelstack.monitoring.custom import CustomMetrics
from modelstack.monitoring.measurements import Datum, Values
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.labels import Labels
from modelstack.services.measuring import Measuring
from modelstack.services.ports import Document
from modelstack.services.promises import Promises
from tests.captured import answers
from tests.rollout import worlds
from tests.services.memory import MemoryDocuments, MemoryMetrics

DECLARED = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}


class Killed(BaseException):
    """What `kill -9` is to a call: nothing catches it."""


@dataclass
class _Mortal(MemoryDocuments):
    """Documents of a process that may be killed before each call."""

    called: Callable[[], None] = lambda: None

    def get(self, keys: Any) -> Mapping[str, Document]:
        self.called()
        return super().get(keys)

    def transact(self, puts: Sequence[Document], deletes: Sequence[Document] = ()) -> frozenset[str]:
        self.called()
        return super().transact(puts, deletes)


@dataclass
class _Refusing(MemoryMetrics):
    """Metrics of a process that may be killed before each call, and that may refuse one."""

    called: Callable[[], None] = lambda: None
    refuse: Exception | None = None

    def put(self, data: Sequence[Datum], values: Sequence[Values] = (), once: str = "") -> None:
        self.called()
        refuse, self.refuse = self.refuse, None
        if refuse:
            raise refuse
        super().put(data, values, once)


@dataclass
class World:
    """An endpoint `e` with champion v-a and, on trial since now, challenger v-b; files, deliveries, metrics.

    Attributes:
        repeatable: Whether the metric store recognises duplicates.
        kill_after: The number of calls of ports after which the running delivery is killed; None: never.
        packages: Members of releases, by variant and name.
        forgotten: Releases that the journal has forgotten, by variant.
    """

    repeatable: bool = False
    now: float = field(default_factory=lambda: float(int(datetime.now(UTC).timestamp())))
    kill_after: int | None = None
    packages: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])
    forgotten: dict[str, Release] = field(default_factory=dict[str, Release])
    settings: Measuring = field(default_factory=Measuring)
    custom: CustomMetrics = field(default_factory=CustomMetrics)
    names: int = 0
    files: dict[str, tuple[bytes, float]] = field(default_factory=dict[str, tuple[bytes, float]])
    aside: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def __post_init__(self) -> None:
        self.documents = _Mortal(lambda: self.now, called=self.called)
        self.metrics = _Refusing(self.repeatable, called=self.called)
        self.state = RolloutState(
            "e", rollout_id="000002-b", phase=Phase.BAKING, champion=self.release("a", DECLARED),
            challenger=self.release("b", DECLARED), pair_config="pair",
            plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0, step_starts=(self.now,),
        )  # fmt: skip

    def called(self) -> None:
        if self.kill_after is not None:
            self.kill_after -= 1
            if self.kill_after < 0:
                raise Killed

    def release(self, name: str, form: Any, baseline: Any = None) -> Release:
        made = worlds.release(name)
        self.packages |= {(made.variant, "answer.json"): form, (made.variant, "baseline.json"): baseline}
        return made

    def captured(self, variant: str, *given: tuple[str | None, Any, Any], ago: float = 0, **meta: Any) -> str:
        """A file of captured answers: inference id, decision, probability; returns its name."""
        self.names += 1
        lines = answers(*given, at=self.now - ago, event=str(self.names), **meta)
        return self.file(f"capture/{variant}/{self.names:03}.jsonl", lines.decode())

    def labelled(self, *lines: tuple[str, Any] | str) -> str:
        """A file of labels: inference id and label, or the line itself; returns its name."""
        self.names += 1
        text = "\n".join(
            line if isinstance(line, str) else json.dumps({"inference_id": line[0], "label": line[1]}) for line in lines
        )
        return self.file(f"labels/{self.names:03}.jsonl", text)

    def file(self, name: str, text: str) -> str:
        self.files[name] = text.encode(), self.now
        return name

    def labels(self) -> Labels:
        promises = Promises(self.state, self._member, self.forgotten.get, self.settings)
        return Labels(self.documents, self.metrics, self, promises, lambda: self.now, lambda _: self.custom)

    def _member(self, release: Any, name: str) -> bytes | None:
        found = self.packages.get((release.variant, name))
        if isinstance(found, Exception):
            raise found
        return None if found is None else json.dumps(found).encode()

    def keep(self, name: str, lines: Sequence[str]) -> None:
        self.aside[name] = lines

    def deliver(self, *names: str) -> int:
        """Take files in, and sum up what they completed; how many pairs these are."""
        labels, joined = self.labels(), 0
        labels.finish()
        for name in names:
            content, written = self.files[name]
            if name.startswith("labels/"):
                joined += labels.take_labels(name, hashlib.sha256(content).hexdigest(), content.splitlines())
            else:
                joined += labels.take_answers(name.split("/")[1], name, written, content.splitlines())
        if joined:
            labels.sum_up()
        return joined

    def sweep(self) -> int:
        return self.labels().sweep()

    def seen(self, name: str, variant: str = "", rollout: str | None = None) -> tuple[float, float]:
        """How many values, and their sum, of a metric of the endpoint and, where given, variant and rollout."""
        found = [(one.value, 1) for one in self.metrics.data if (one.name, one.variant) == (name, variant)]
        for each in self.metrics.values:
            if (each.name, each.variant) == (name, variant) and rollout in (None, each.rollout):
                found += zip(each.values, each.counts or [1] * len(each.values), strict=True)
        return sum(count for _, count in found), sum(value * count for value, count in found)

    def last(self, name: str, variant: str = "v-a") -> float:
        """The last value of a level."""
        return [
            one.value for one in self.metrics.data if (one.name, one.variant, one.segment) == (name, variant, None)
        ][-1]

    def rejected(self) -> list[tuple[str, str]]:
        """Kind and reason of every line that was rejected."""
        found = [json.loads(line) for lines in self.aside.values() for line in lines]
        return sorted((line["kind"], line["reason"]) for line in found)
