"""May the challenger take more traffic?

A pure state machine and a sequential judge behind ports; adapters for a platform stand beside them.

    from rollout import Plan, Release, Step
    from rollout.sagemaker import controller

    rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
    rollout.release(target, pair_config, Plan(steps=(Step(10, 300), Step(50, 300))))
    state = rollout.follow(seconds=3600)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout.controller import Controller
    from rollout.decision import Decision, Seen, decide
    from rollout.endings import Ignored
    from rollout.metrics import Metric, Tally, Window
    from rollout.plan import Guard, Plan, PlanError, ReplayGate, Step
    from rollout.ports import Ask, Busy, Conflict, RolloutError, Unreachable
    from rollout.release import Release
    from rollout.state import Event, Phase, Reason, RolloutState, StateError, Verdict

__all__ = [
    "Ask",
    "Busy",
    "Conflict",
    "Controller",
    "Decision",
    "Event",
    "Guard",
    "Ignored",
    "Metric",
    "Phase",
    "Plan",
    "PlanError",
    "Reason",
    "Release",
    "ReplayGate",
    "RolloutError",
    "RolloutState",
    "Seen",
    "StateError",
    "Step",
    "Tally",
    "Unreachable",
    "Verdict",
    "Window",
    "decide",
]

_HOMES = {
    "controller": ("Controller",),
    "decision": ("Decision", "Seen", "decide"),
    "endings": ("Ignored",),
    "metrics": ("Metric", "Tally", "Window"),
    "plan": ("Guard", "Plan", "PlanError", "ReplayGate", "Step"),
    "ports": ("Ask", "Busy", "Conflict", "RolloutError", "Unreachable"),
    "release": ("Release",),
    "state": ("Event", "Phase", "Reason", "RolloutState", "StateError", "Verdict"),
}


if not TYPE_CHECKING:  # or the type checker would believe in any name

    def __getattr__(name: str) -> Any:
        """A public name, from its module: `pulumi up` begins with the state alone, and loads no judge for that.

        Raises:
            AttributeError: There is no such name.
        """
        for home, names in _HOMES.items():
            if name in names:
                return getattr(import_module(f"rollout.{home}"), name)
        raise AttributeError(f"module 'rollout' has no attribute {name!r}")
