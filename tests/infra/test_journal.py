"""What is live is known, or nothing is declared."""

from __future__ import annotations

import pulumi
import pytest

import rollout.sagemaker
from infra.journal import recorded
from rollout.ports import Unreachable
from rollout.state import Phase, RolloutState, StateError


class Journal:
    """Answers as told."""

    answer: RolloutState | Exception = RolloutState("endpoint")

    def __init__(self, *args: object) -> None:
        self.asked = args[1:]

    def read(self) -> RolloutState:
        assert self.asked == ("flight-delay-local-rollouts", "flight-delay-local")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def journal(monkeypatch: pytest.MonkeyPatch) -> type[Journal]:
    monkeypatch.setattr(rollout.sagemaker, "DynamoJournal", Journal)
    monkeypatch.setattr(Journal, "answer", RolloutState("endpoint"))
    return Journal


def test_journal_that_is_not_there_yet_is_an_empty_state() -> None:
    assert recorded("flight-delay-local", "us-east-1").phase is Phase.NONE


@pytest.mark.parametrize("failure", [Unreachable("no answer"), StateError("version 9")])
def test_journal_that_cannot_be_read_stops_the_program(
    journal: type[Journal], failure: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.answer = failure
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    with pytest.raises(pulumi.RunError, match=f"nothing was changed: {failure}.*make up"):
        recorded("flight-delay-local", "us-east-1")
