"""Which of its rights has each role used? What no request needed can go from its policy.

A line of JSON for each `role`, `action` and `resource`, the first time that a request was allowed by a statement with
this resource; with the `account`, if it is not the cloud's own. The resource is as the policy writes it, so the file is
never longer than the policies. On AWS the question is put to IAM: GenerateServiceLastAccessedDetails, with
ACTION_LEVEL.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator

FILE = "used-rights.jsonl"
"""In the state folder of a cloud."""


class UsedRights:
    """The rights that were used in one cloud, kept in its state folder.

    Args:
        state: The folder.
        account: The cloud's own.
    """

    def __init__(self, state: Path, account: str) -> None:
        self._account = account
        self._file = state / FILE
        self._known = set(self._file.read_text().splitlines()) if self._file.exists() else set[str]()

    def watch(self) -> None:
        """Have ministack's evaluation of a request's policies tell of each that it allows."""
        evaluate = iam_evaluator.evaluate

        def evaluated(asked: Any, policies: Sequence[Sequence[Any]], *limits: Any) -> Any:
            found = evaluate(asked, policies, *limits)
            if found.decision == "Allow" and asked.principal_type == "AssumedRole":
                role, account = asked.principal_arn.split("/")[1], asked.principal_arn.split(":")[4]
                whose = {"role": role} if account == self._account else {"account": account, "role": role}
                for resource in _allowing(asked, policies):
                    self._note({**whose, "action": asked.action, "resource": resource})
            return found

        iam_evaluator.evaluate = evaluated

    def _note(self, right: dict[str, str]) -> None:
        line = json.dumps(right)
        if line not in self._known:
            self._known.add(line)
            with self._file.open("a") as file:
                file.write(f"{line}\n")


def _allowing(asked: Any, policies: Sequence[Sequence[Any]]) -> Iterator[str]:
    """The resources of the statements that allow a request."""
    for statement in (one for document in policies for one in document if one.effect == "Allow"):
        for resource in statement.resources:
            if iam_evaluator._first_match(asked, [replace(statement, resources=[resource])], "Allow"):
                yield resource
