"""Shows that the champion has no ready pod: in the conditions of the Rollout, and by an event.

A deleted Deployment is shown, not made again. A right to create Deployments cannot be limited to what is in them: with
it, the controller could run any pod with any Secret of the namespace. `pulumi up --refresh` makes it again.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelstack.platforms.kubernetes.api import Api
from modelstack.platforms.kubernetes.journal import state_of
from modelstack.platforms.kubernetes.kinds import ROLLOUT
from modelstack.platforms.kubernetes.rollout_status import NOT_SERVING, READY, conditions_of, rollout_status
from modelstack.platforms.kubernetes.serving_config import Backend
from modelstack.platforms.kubernetes.workloads import lacking
from modelstack.rollout.controller.agreement import change
from modelstack.rollout.controller.outbox import Outbox
from modelstack.rollout.core.live import Live
from modelstack.rollout.core.state import RolloutState
from modelstack.rollout.reason import Reason

EVENT = "not_serving"
_AGAIN = 600.0  # seconds without another event: pods may come and go


@dataclass(frozen=True)
class ServingCheck:
    """Compares the champion's pods with the conditions of its Rollout."""

    api: Api
    endpoint: str
    outbox: Outbox

    def show(self, state: RolloutState, live: Live | None) -> None:
        """Write the conditions if they differ; nothing while the endpoint cannot be read."""
        champion = state.champion
        variant = live.variants.get(champion.variant) if live and champion else None
        if champion is None or variant is None:
            return
        backend = Backend(champion.variant, champion.config_name)
        why = "" if variant.instances else lacking(self.api, backend, served=True).words
        rollout = self.api.get(ROLLOUT, self.endpoint)
        if why and conditions_of(rollout).get(READY, {}).get("reason") != NOT_SERVING:
            self._note(state, champion.id, why)
            rollout = self.api.get(ROLLOUT, self.endpoint)
        known = state_of(rollout, self.endpoint)
        status = rollout_status(known, rollout, self.api.clock.time(), why)
        if known.champion == champion and status != rollout["status"]:
            self.api.replace_status(ROLLOUT, {**rollout, "status": status})

    def _note(self, state: RolloutState, champion: str, why: str) -> None:
        now = self.api.clock.time()
        if any(event.kind == EVENT and now - event.at < _AGAIN for event in state.history):
            return
        reason = Reason("endpoint", "instances", why)
        self.outbox.send(change(self.outbox.journal, lambda seen: seen.noting(now, EVENT, champion, reason)))
