"""The platform-independent part of the rollout providers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pulumi.dynamic import CreateResult, DiffResult, ReadResult, ResourceProvider, UpdateResult

from modelstack.program.config.whole_numbers import whole
from modelstack.program.providers.progress import Progress
from modelstack.rollout.controller.commands import PLAIN, Commands
from modelstack.rollout.core.errors import RolloutError

OPENING_SECONDS = 1800.0  # a release that takes over at once: so long SageMaker may take to start its instances
ENDING_SECONDS = 900.0  # beyond a trial's time: the last endpoint update and the record
Values = Mapping[str, Any]
RENAMED = {
    "target": "desired_release",
    "pair_config": "trial_config",
    "beside": "baseline_config",
    "acts": "start_trial",
    "seen": "live_state",
}
"""Names of inputs in the state of older stacks -> their names now. A renamed input is no change."""


class DrivingProvider(ResourceProvider, ABC):
    """Puts the target on trial when `start_trial` is set; otherwise only reads the live state.

    `PLACE` names the inputs that locate the endpoint; changing one replaces the resource.
    """

    serialize_as_secret_always = False
    PLACE: ClassVar[tuple[str, ...]]

    @abstractmethod
    def journal(self, props: Values, *, signed: bool = False) -> Any:
        """The endpoint's journal; its records name the caller when `signed`."""

    def state(self, props: Values) -> Any:
        """The state in the journal, for a refresh."""
        return self.journal(props).read()

    @abstractmethod
    def controller(self, props: Values) -> Any:
        """A controller of the endpoint that acts with the caller's credentials."""

    @abstractmethod
    def approvals(self, props: Values) -> Any:
        """The approvals of the stack's releases, see `modelstack.services.approvals.Approvals`."""

    @abstractmethod
    def metrics(self, release: Any, props: Values) -> dict[str, float]:
        """The metrics of a release's package; empty when they cannot be read or verified: no decision needs them."""

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Report a change when the program requests one, or when the journal changed since the last update.

        A refresh compares with the inputs of the last update: its own effects are no change, unless it failed.
        """
        olds = {RENAMED.get(name, name): value for name, value in olds.items()}
        elsewhere = [name for name in self.PLACE if olds.get(name) != news.get(name)]
        moved = any(olds.get(name) != news["live_state"][name] for name in ("champion", "challenger"))
        looked_again = (olds.get("live_state") or {}).get("revision") != news["live_state"]["revision"]
        asked_else = any(olds.get(name) != news.get(name) for name in ("desired_release", "wait"))
        news_here = looked_again or asked_else or olds.get("outcome") in {None, "failed"}
        gone = bool(news["live_state"].get("gone"))
        changes = bool(elsewhere) or gone or (news_here and (bool(news["start_trial"]) or moved))
        return DiffResult(changes=changes, replaces=elsewhere)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the first release champion, or continue an interrupted update."""
        return CreateResult(props["endpoint"], self._drive(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Drive the rollout to its end when the update waits, else through its first step."""
        return UpdateResult(self._drive(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Read champion and challenger from the journal; a failure is one line, since Pulumi prints it."""
        try:
            state = self.state(props)
        except RolloutError as error:
            raise RuntimeError(f"what is live on {props['endpoint']} is not known: {error}") from None
        return ReadResult(id_, {**props, **self._standing(state, props)})

    def _drive(self, props: Values) -> dict[str, Any]:
        try:
            return self._driven(self.controller(props), props)
        except RolloutError as error:
            raise RuntimeError(
                f"what is live on {props['endpoint']} is not known: {error}. Run the update again: it goes on"
            ) from None

    def _driven(self, controller: Any, props: Values) -> dict[str, Any]:
        try:
            if props["start_trial"]:
                self._record_approvals(props)
            state = (
                follow(controller, props, Progress(props["urn"])) if props["start_trial"] else controller.status().state
            )
        except RolloutError as error:
            # Not an exception: Pulumi would print a traceback and lose the live state. The program fails with the text.
            Progress(props["urn"])("failed, the error says why")
            state = controller.status().state
            return {**props, **self._standing(state, props), "outcome": "failed", "why": str(error)}
        return {**props, **self._standing(state, props), **ending(state, props)}

    def _record_approvals(self, props: Values) -> None:
        from modelstack.services.approvals import record  # noqa: PLC0415  slow to load, and diff needs none

        record(self.approvals(props).given(props["desired_release"]["id"]), self.journal(props, signed=True))

    def _standing(self, state: Any, props: Values) -> dict[str, Any]:
        """Empty, not None, without a release: Pulumi drops None from the state, and a preview takes it as unknown."""
        champion, challenger = state.champion, state.challenger
        return {
            "champion": champion.package_digest if champion else "",
            "challenger": challenger.package_digest if challenger else "",
            "release": champion.as_dict() if champion else {},
            "metrics": self.metrics(champion, props) if champion else {},
        }


def follow(controller: Any, props: Values, progress: Progress) -> Any:
    """Release the target and follow its rollout, reporting each event; returns the last state of the journal."""
    from modelstack.rollout.controller.notice import doing  # noqa: PLC0415  see RolloutProvider.read
    from modelstack.rollout.core.plan import Plan  # noqa: PLC0415
    from modelstack.rollout.core.release import Release  # noqa: PLC0415
    from modelstack.rollout.core.state import Phase  # noqa: PLC0415

    plan = Plan.from_dict(whole(props["plan"]))
    told = {event_key(event) for event in controller.status().state.history}

    def tell(seen: Any) -> None:
        before = None
        for event in seen.state.history:
            if event_key(event) not in told:
                told.add(event_key(event))
                again = event.reason is not None and event.reason == before  # as of a decision, and then of its end
                progress.note(event.what if again else event.text)
            before = event.reason
        if seen.doing:
            progress(doing(seen.doing, seen.decision))

    target, pair = Release.from_dict(whole(props["desired_release"])), props.get("trial_config")
    begun = controller.release(
        target, pair, plan, shadow_config=props.get("shadow_config"), beside=props.get("baseline_config")
    )
    tell(begun)
    if props["wait"] or begun.state.phase is Phase.MOVING:
        seconds = 2 * plan.max_seconds + ENDING_SECONDS  # late counting gives a trial as much time again
        if begun.state.phase is Phase.MOVING:
            seconds = OPENING_SECONDS + (plan.guard.max_seconds if plan.guard else 0)
        return controller.follow(seconds, progress=tell)
    return begun.state


def event_key(event: Any) -> tuple[float, str, str]:
    """The identity of an event in the history."""
    return (event.at, event.rollout_id, event.kind)


def ending(state: Any, props: Values) -> dict[str, Any]:
    """The outcome of the target's rollout; before the end `running`, `waiting` for an approval, or `held`."""
    target = props["desired_release"]["config_name"]
    if state.champion is not None and state.champion.config_name == target:
        return {"outcome": "promoted", "why": ""}
    verdict = state.last
    if state.challenger is not None and state.challenger.config_name == target:
        if state.paused_at is not None:
            return {"outcome": "waiting", "why": awaited(state, commands_of(props))}
        if state.phase.value == "held":
            return {"outcome": "held", "why": awaited(state, commands_of(props))}
        return {"outcome": "running", "why": f"the rollout is {state.phase.value}"}
    if verdict is not None and verdict.release == props["desired_release"]["id"]:
        return {"outcome": verdict.outcome, "why": verdict.reason.text}
    return {"outcome": "superseded", "why": "another release was made meanwhile"}


def commands_of(props: Values) -> Commands:
    """The commands for the resource's stack, which its URN names: `urn:pulumi:<stack>::...`."""
    return Commands.of_stack(str(props["urn"]).split(":")[2]) if props.get("urn") else PLAIN


def awaited(state: Any, commands: Commands = PLAIN) -> str:
    """What a paused or held trial waits for, with the command to type."""
    if state.phase.value == "held":
        held = [event.reason.text for event in state.history if event.kind == "held" and event.reason]
        why = held[-1] if held else "its time is over"
        return (
            f'{why}. It keeps its share of traffic: type {commands.modelstack} approve --reason "..." to give it as '
            f'much time again, then `{commands.pulumi_up}` again; or {commands.modelstack} rollback --reason "..."'
        )
    steps = len(state.plan.steps) if state.plan else state.step + 1
    then = f'type: {commands.modelstack} approve --reason "...", then `{commands.pulumi_up}` again'
    return f"step {state.step + 1} of {steps} is passed, and the next needs a person's approval: {then}"
