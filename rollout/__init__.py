"""May the challenger take more traffic?

A pure state machine and a sequential judge behind ports; adapters for a platform stand beside them.

    from rollout import Plan, Release, Step
    from rollout.sagemaker import controller

    rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
    rollout.release(target, pair_config, Plan(steps=(Step(10, 300), Step(50, 300))))
    state = rollout.follow(seconds=3600)
"""

from rollout.controller import Controller, Ignored
from rollout.decision import Decision, Seen, decide
from rollout.judge import Counts, Finding, Window, compare
from rollout.plan import Plan, PlanError, Step
from rollout.ports import Busy, Conflict, RolloutError, Unreachable
from rollout.release import Release
from rollout.state import Event, Phase, Reason, RolloutState, StateError, Verdict

__all__ = [
    "Busy",
    "Conflict",
    "Controller",
    "Counts",
    "Decision",
    "Event",
    "Finding",
    "Ignored",
    "Phase",
    "Plan",
    "PlanError",
    "Reason",
    "Release",
    "RolloutError",
    "RolloutState",
    "Seen",
    "StateError",
    "Step",
    "Unreachable",
    "Verdict",
    "Window",
    "compare",
    "decide",
]
