"""The sections `modelstack:promotion` and `modelstack:approval`: the source of releases, and approvals."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from modelstack.program.config.problems import Allowed, NotAllowed
from modelstack.program.config.section import Section, stack_of
from modelstack.program.config.target import is_local

MOST_TAKERS = 10
ACCOUNT, _GROUP = re.compile(r"\d{12}"), re.compile(r"[A-Za-z0-9][\w.:@/+-]{0,252}")
_WORDS = "accounts, each of 12 digits in quotes; on a cluster of groups, such as deployers"


class PromotionSettings(Section):
    """Where the model comes from when it is not trained here."""

    source: Annotated[str | None, Allowed("the name of another stack of this project")] = Field(
        default=None,
        alias="from",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="The stack whose champion this stack takes. Null: train here.",
    )
    to: Annotated[list[str], Allowed(f"a list of at most {MOST_TAKERS} {_WORDS}")] = Field(
        default_factory=list[str],
        description="Other AWS accounts whose stacks may take this stack's champion. On Kubernetes: groups of the API "
        "server's users.",
    )

    @field_validator("to", mode="before")
    @classmethod
    def _takers(cls, given: object) -> object:
        takers = given if isinstance(given, list) and len(given) <= MOST_TAKERS else [None]
        if not all(isinstance(one, str) and _GROUP.fullmatch(one) for one in takers):
            raise NotAllowed
        return given

    @field_validator("source")
    @classmethod
    def _other(cls, source: str | None, info: ValidationInfo) -> str | None:
        stack = stack_of(info)
        if source is None or not stack:
            return source
        if source == stack:
            raise ValueError("a stack cannot be its own source; allowed is the name of another, or null")
        if is_local(source) != is_local(stack):
            raise ValueError(
                "a local stack and one that is not cannot promote to one another; allowed is the name of a stack "
                f"that is {'' if is_local(stack) else 'not '}local, or null"
            )
        return source


class ApprovalSettings(Section):
    """Who must agree before a release goes on trial."""

    people: int = Field(
        default=0,
        ge=0,
        le=5,
        description="How many people must agree to a release (`modelstack approve`) before it goes on trial. None of "
        "them may be who registered it. 0: nobody is asked.",
    )
