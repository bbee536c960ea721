"""What a row plays on: an endpoint with alarms and notifications, and ways to disturb it.

`in_memory.MemoryStage` is simulated, `on_aws.AwsStage` is on the local cloud, `cluster.stage.ClusterStage` on a
cluster.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any, Literal

from modelstack.rollout.controller.controller import Controller, Progress
from modelstack.rollout.core.errors import Busy, Conflict, Unreachable
from modelstack.rollout.core.live import Approval, Live
from modelstack.rollout.core.plan import Plan
from modelstack.rollout.core.release import Release
from modelstack.rollout.core.state import Phase, RolloutState
from modelstack.rollout.reason import Reason
from tests.platforms.load import Asked, Load, wait_for

PATIENCE = 400  # seconds for anything; loose, for the machine may be busy
LABEL_LATE = 2.0  # seconds from an answer to its label
PERIODS = 540  # that an alarm is looked at on a local stack: 90 minutes
TOLERATED = 0.05  # of both alarms
SLOW_MS = 150  # what an alarm on latency takes for slow

Platform = Literal["memory", "aws", "kubernetes"]
Call = Literal[
    "read metrics", "read journal", "write journal", "read endpoint", "use config", "set weights", "set approval",
    "notify",
]  # fmt: skip
"""A controller's calls of its platform. On a cluster `use config` and `set weights` are the same call."""
Effect = Literal["error", "throttle", "drop_before", "drop_after"]
"""Refused as broken or as too much; the connection is closed before the call is performed, or after."""
Act = Callable[[Any], None]


@dataclass(frozen=True)
class Message:
    text: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class Killed:
    """Controllers are killed after each kind of effect in turn; `restore`: a person rolls the promotion back."""

    does: Literal["release", "restore"]
    plan: Plan


def nothing(stage: Stage) -> None:
    """Leave everything as it is."""


@contextmanager
def beside(work: Callable[[Event], None]) -> Generator[None]:
    """Let a thread work until the block ends."""
    stop = Event()
    thread = Thread(target=work, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


class Stage(ABC):
    """An endpoint on which a row is played: a champion serves, a challenger is tried, and events can be read."""

    captures: bool = False
    """Whether requests are captured; set before the first release."""
    pods: int = 1
    """How many instances each release has; set before the first release."""
    releases: dict[str, Release]
    """By role."""
    ran: list[dict[str, Any]]
    """What was answered to alarms that were given directly to whoever acts on them."""

    def now(self) -> float:
        return time.time()

    def wait(self, question: Callable[[], Any], doing: str) -> Any:
        """The first answer that is true; an AssertionError if none comes."""
        return wait_for(question, PATIENCE, doing)

    @abstractmethod
    def release(self, role: str, **behaviour: Any) -> Release:
        """Everything that one release is; see localcloud's `served_model.py` for how it may behave."""

    @abstractmethod
    def serve(self, role: str) -> None:
        """Let the endpoint serve one release alone, and wait until it does."""

    @abstractmethod
    def load(self, *, target: str | None = None, rate: float = 10, workers: int = 2) -> Load:
        """A constant load on the endpoint, not started yet; of who asks a variant by name, that one's."""

    @abstractmethod
    def trial(self, role: str, plan: Plan, during: Act = nothing, at: Phase = Phase.BAKING) -> RolloutState:
        """Release, and follow to the verdict, as often as it takes."""

    @abstractmethod
    def settled(self) -> RolloutState:
        """Follow what is still under way to its end, and until people are told."""

    @abstractmethod
    def live(self) -> Live:
        """What the endpoint says of itself."""

    @abstractmethod
    def packages(self) -> Mapping[str, str]:
        """The approval status of each release's package."""

    @abstractmethod
    def told(self, kind: str, rollout_id: str) -> list[Message]:
        """What people were told of one kind of event of one rollout."""

    def who_failed(self, asked: list[Asked]) -> list[Asked]:
        """The same requests; of a failure that names nobody, whose it was, where the platform can tell."""
        return asked

    @abstractmethod
    def close(self) -> None:
        """End the endpoint's processes."""


class FaultStage(Stage):
    """An endpoint whose alarms roll back, and that can be disturbed."""

    one_more: int
    """Calls: one more than a client tries."""

    # Time

    def at_once(self, *calls: Callable[[], Any]) -> None:
        with ThreadPoolExecutor(len(calls)) as pool:
            list(pool.map(lambda call: call(), calls))

    # What is there

    @abstractmethod
    def pair(self, champion: str, challenger: str) -> str:
        """The config that serves two releases together, all traffic to the first."""

    @abstractmethod
    def shadow(self, champion: str, challenger: str) -> str:
        """The config that serves the first and copies every request to the second."""

    @abstractmethod
    def controller(self) -> Controller:
        """A controller of its own; any number may be used."""

    @abstractmethod
    def state(self) -> RolloutState:
        """What the journal says."""

    @abstractmethod
    def approval(self, role: str) -> Approval:
        """The approval status of a release's package."""

    # Alarms, and what people are told

    @abstractmethod
    def rolls_back_on_alarm(self) -> None:
        """Let alarms that fire wake whoever acts on them."""

    @abstractmethod
    def declare_alarm(self, role: str, measure: str) -> None:
        """One of the alarms that infra declares for every variant, with a short period and one data point."""

    @abstractmethod
    def fired(self, role: str, measure: str = "5xx") -> str:
        """Wait until an alarm has told that it fires; the message, as whoever acts on it gets it."""

    @abstractmethod
    def fire(self, role: str, measure: str = "5xx") -> str:
        """Let an alarm fire now, for a moment, whatever its metric says; the message."""

    @abstractmethod
    def deliver(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        """Give an alarm's message to whoever acts on it, as often at once; what it answered each time."""

    # Disturbances

    @abstractmethod
    def fault(self, call: Call, effect: Effect, calls: int | None = None, *, seconds: float = 0) -> None:
        """Let a call that is about this stage go wrong."""

    @abstractmethod
    def lose_journal(self, older: RolloutState | None = None, *, copy: bool = False) -> None:
        """Delete the journal, or put an older state in its place; with `copy` the second copy, too."""

    @abstractmethod
    def end_faults(self) -> None:
        """End the faults of this stage that are not used up."""

    @abstractmethod
    def impatient(self, read_timeout: float) -> None:
        """Let the controllers from now on give a call up after so many seconds."""

    @abstractmethod
    def become(self, role: str, **behaviour: Any) -> None:
        """Let the instance that serves a release behave otherwise from now on."""

    @abstractmethod
    def scaling(self, role: str) -> AbstractContextManager[None]:
        """Add an instance, as an autoscaler does, which is under way in the whole block."""

    @abstractmethod
    def breaks_archive(self, role: str) -> None:
        """New instances of a release do not start any more; those that serve go on."""

    @abstractmethod
    def killed(self, asked: Killed) -> tuple[list[int], int]:
        """Carry a trial on by processes, each killed after its first new kind of effect, until one comes to the end."""

    # What goes on beside a trial

    @abstractmethod
    def labels(self, label: bool | None) -> AbstractContextManager[None]:
        """Take in captured answers as the product does, and two seconds late the same label for each."""

    @abstractmethod
    def publishes(self, namespace: str, metric: str, rates: Mapping[str, float]) -> AbstractContextManager[None]:
        """Publish a metric of the user's for answers of each role, of which this share is 1, the others 0."""

    @abstractmethod
    def captured(self) -> None:
        """Wait until some of the champion's answers were captured."""

    @abstractmethod
    def timed(self, role: str) -> int:
        """Of how many answers the platform knows the latency, in the hours before."""

    # Rollouts

    def trial(self, role: str, plan: Plan, during: Act = nothing, at: Phase = Phase.BAKING) -> RolloutState:
        done: list[bool] = []

        def watch(seen: Progress) -> None:
            if not done and seen.state.phase is at and seen.state.step_starts:
                done.append(True)
                during(self)

        return self.watched(role, plan, watch)

    def watched(self, role: str, plan: Plan, watch: Callable[[Progress], None]) -> RolloutState:
        """Release, and follow to the verdict; nothing goes on while `watch` looks at a tick."""

        def over() -> RolloutState | None:
            state = self.controller().follow(20, poll=1, progress=watch)
            return None if state.challenger else state

        self.wait(lambda: self._released(role, plan), f"the release of {role} begins")
        return self.wait(over, f"the verdict on {role}")

    def _released(self, role: str, plan: Plan) -> bool:
        """Whether the release was taken; what does not answer is asked again, as the next update does."""
        with suppress(Busy, Unreachable, Conflict):
            champion = self.state().champion
            pair = shadow = None
            if champion and champion.id != role:
                pair = self.pair(champion.id, role)
                shadow = self.shadow(champion.id, role) if plan.steps[0].shadow else None
            self.controller().release(self.releases[role], pair, plan, shadow_config=shadow)
            return True
        return False

    def settled(self) -> RolloutState:
        """Follow what is still under way to its end, and until people are told, as the next scheduled look would."""

        def ended() -> RolloutState | None:
            state = self.controller().follow(20, poll=1)
            return state if state.at_rest and not state.outbox else None

        return self.wait(ended, "the end")

    def person(self, why: str) -> Reason:
        return Reason("person", "ada", why)

    def packages(self) -> Mapping[str, str]:
        return {role: self.approval(role) for role in self.releases}
