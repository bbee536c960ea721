"""What is live is known, or nothing is declared."""

from __future__ import annotations

import pulumi
import pytest

import modelstack.platforms.aws.journal
import modelstack.platforms.aws.traffic
import modelstack.platforms.aws.training
from modelstack.monitoring.retraining.record import RetrainingRecord
from modelstack.program.aws.journal import recorded
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.state import Phase, RolloutState, StateError


class Journal:
    answer: RolloutState | Exception = RolloutState("endpoint")

    def __init__(self, *args: object) -> None:
        self.asked = args[1:]

    def read(self) -> RolloutState:
        assert self.asked == ("flight-delay-local-rollouts", "flight-delay-local")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Book:
    def __init__(self, *args: object) -> None: ...

    def read(self) -> RetrainingRecord:
        return RetrainingRecord()


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> type[Journal]:
    monkeypatch.setattr(modelstack.platforms.aws.journal, "copied_journal", Journal)
    monkeypatch.setattr(modelstack.platforms.aws.training, "DynamoBook", Book)
    monkeypatch.setattr(modelstack.platforms.aws.traffic, "find_live", lambda clients, endpoint: None)
    monkeypatch.setattr(Journal, "answer", RolloutState("endpoint"))
    return Journal


def test_journal_that_is_not_there_yet_is_an_empty_state() -> None:
    state, live, record = recorded("flight-delay-local", "us-east-1")
    assert state.phase is Phase.NONE
    assert record == RetrainingRecord()
    assert live is None


def refusal() -> str:
    with pytest.raises(pulumi.RunError) as caught:
        recorded("flight-delay-local", "us-east-1")
    assert caught.value.__suppress_context__, "Pulumi would print what led to it"
    return str(caught.value)


def test_local_cloud_that_does_not_answer_is_one_line_that_says_what_to_do(
    journal: type[Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.answer = Unreachable("no connection")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    assert refusal() == (
        "the local cloud at http://127.0.0.1:4566 does not answer, so nothing was changed. Start it with: make up "
        "(no connection)"
    )


@pytest.mark.parametrize("failure", [Unreachable("no answer"), StateError("version 9")])
def test_journal_that_cannot_be_read_stops_the_program(
    journal: type[Journal], failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.answer = failure
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    assert refusal() == f"what is live on flight-delay-local is not known, so nothing was changed: {failure}"
