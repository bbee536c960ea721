"""An endpoint whose answers and labels meet in a real PostgreSQL."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from modelstack.platforms.kubernetes.captures import intake
from modelstack.platforms.kubernetes.database import Database
from modelstack.platforms.kubernetes.labels import join, labels_of, take_labels
from modelstack.platforms.kubernetes.measured import text
from modelstack.platforms.kubernetes.metrics import exposed, whose
from modelstack.rollout.core.plan import Plan, Step
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.services.labels import Labels
from modelstack.services.promises import Promises
from tests.captured import answers
from tests.rollout.worlds import release

FORM = "answer.json"
DECLARED = {"kind": "classification", "classes": [False, True], "decision": "late", "probability": "p"}
ROLLOUT = "000002-b"


@dataclass
class World:
    """Champion v-a and, on trial since now, challenger v-b, whose predictions and labels meet in a real PostgreSQL."""

    database: Database
    endpoint: str
    members: dict[tuple[str, str], Any] = field(
        default_factory=lambda: dict[tuple[str, str], Any]({("v-a", FORM): DECLARED, ("v-b", FORM): DECLARED})
    )
    known: dict[str, Release] = field(default_factory=dict[str, Release])
    now: float = field(default_factory=lambda: float(int(datetime.now(UTC).timestamp())))
    events: Any = field(default_factory=count)

    @property
    def state(self) -> RolloutState:
        return RolloutState(
            self.endpoint, rollout_id=ROLLOUT, phase=Phase.BAKING, champion=release("a"), challenger=release("b"),
            pair_config="pair", plan=Plan(steps=(Step(10, 300),), max_seconds=86_400), step=0, step_starts=(self.now,),
        )  # fmt: skip

    def member(self, of: Any, name: str) -> bytes | None:
        found = self.members.get((of.variant, name))
        return json.dumps(found).encode() if found else None

    def promises(self) -> Promises:
        return Promises(self.state, self.member, self.known.get)

    def labels(self, database: Database | None = None) -> Labels:
        return labels_of(database or self.database, self.promises(), time.time)

    def captured(self, variant: str, *given: tuple[str | None, Any, Any], ago: float = 0, **meta: Any) -> bytes:
        """Post captured answers: inference id, decision, probability."""
        post = answers(*given, at=self.now - ago, event=f"event-{next(self.events)}", **meta)
        intake(self.database, self.endpoint, variant, post)
        return post

    def labelled(self, *lines: tuple[str, Any] | str) -> bytes:
        content = "\n".join(
            line if isinstance(line, str) else json.dumps({"inference_id": line[0], "label": line[1]}) for line in lines
        ).encode()
        take_labels(self.database, self.endpoint, "labels of today.jsonl", content)
        return content

    def run(self, database: Database | None = None) -> int:
        return join(database or self.database, self.endpoint, self.labels(database))

    def seen(self, name: str, **labels: str) -> float:
        """A series of /metrics, by its labels but the endpoint; 0 when it is not there."""
        return shown(self.database, self.endpoint, name, labels) or 0.0

    def pairs(self, variant: str, rollout: str = "") -> tuple[float, float]:
        """How many pairs were counted, and how many of them were right."""
        of = {**({"rollout": rollout} if rollout else {}), "variant": variant}
        return self.seen("accuracy_count", **of), self.seen("accuracy_sum", **of)


def shown(database: Database, endpoint: str, name: str, labels: dict[str, str]) -> float | None:
    series = f"{exposed(f'modelstack_{name}', whose('models', endpoint) | labels)} "
    lines = [one for one in text(database, "models", [endpoint]).splitlines() if one.startswith(series)]
    return float(lines[0].removeprefix(series)) if lines else None
