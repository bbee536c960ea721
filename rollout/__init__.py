"""May the challenger take more traffic?

A pure state machine and a sequential judge behind ports; adapters for a platform stand beside them.

    from rollout import Plan, Release, Step
    from rollout.sagemaker import controller

    rollout = controller("flight-delay-prod", "flight-delay-prod-rollouts", "us-east-1")
    rollout.release(target, pair_config, Plan(steps=(Step(10, 300), Step(50, 300))))
    state = rollout.follow(seconds=3600)
"""

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
