"""The sentences of a retraining: each is made here, from fields, and read by people alone.

    asked_for("drift", alarm="flight-delay-prod-v-3f2a-drift", numbers={"evidence": 1.2})
    # "flight-delay-prod-v-3f2a-drift rang: evidence 1.2, 1 is enough"

No program takes such a sentence apart; what it needs of it is a field of the trigger or the event.
"""

from __future__ import annotations

from collections.abc import Mapping


def asked_for(said: str, alarm: str, since: str, numbers: Mapping[str, float]) -> str:
    """Why a new version is wanted."""
    if since:
        return f"{numbers['days']:.0f} days since {since}, by schedule after {numbers['every_days']:.0f}"
    if "evidence" in numbers:
        said = f"evidence {numbers['evidence']:.4g}, 1 is enough"
    return f"{alarm} rang: {said}" if alarm else said


def obstacle(kind: str, release: str, numbers: Mapping[str, float]) -> str:
    """Why nothing can be begun now."""
    if kind == "nothing_serves":
        return "nothing serves that could be trained anew"
    if kind == "on_trial":
        return f"{release} is on trial"
    if kind == "cool_down":
        days, least = numbers["days"], numbers["cool_down_days"]
        return f"the last one was begun {days:.0f} days before, and {least:.0f} must pass"
    return f"{numbers['begun']:.0f} were begun within a week, which is all that is allowed"


def held(wish: str, because: str) -> str:
    """That something asks for a retraining which is not begun."""
    return f"{wish}: not begun, as {because}"


def what(kind: str, job: str, release: str, through: str, serves: str | None) -> str:
    """What happened, in a line without the reason."""
    if kind == "kept" and serves is not None:
        return f"{job} gave no candidate"
    declined = f"candidate {release} declined" if release else "retraining declined"
    return {
        "asked": "retraining waits for a person",
        "approved": "retraining approved",
        "declined": declined,
        "started": f"training {job} on data to {through}",
        "candidate": f"{release}, trained on data to {through}, waits for its release",
        "kept": f"the champion stays, {job} gave no candidate",
        "failed": f"{job} failed",
        "stopped": f"{job} is stopped, the champion stays",
        "forgotten": "retrained windows forgotten, the config's counts again",
    }[kind]


def overtaken(kind: str, champion: str, serves: str) -> str:
    """Why nothing came of a job whose champion serves no more."""
    if kind == "failed":
        return f"it was never created, and {champion} serves no more"
    return f"it was held against {champion}, and {serves or 'nothing'} serves by now"
