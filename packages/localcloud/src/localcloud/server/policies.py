"""How IAM reads a policy, where ministack reads less of it: variables, `NotPrincipal`, and what it does not know.

What cannot be decided refuses: a condition with an unknown operator, or with a key that is not computed here, holds in
a Deny and not in an Allow.

Source: IAM user guide, "IAM policy elements: Variables and tags", "NotPrincipal", "Condition operators", "Set operators
for multivalued context keys" and "AWS global condition context keys"; Amazon CloudWatch Logs user guide, "ARNs".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.iam_evaluator import EvalContext, ParsedStatement
from ministack.services import tagging

_VARIABLE = re.compile(r"\$\{([^{},]*)(?:,\s*'([^']*)')?\}")
_LITERALS = {"*", "?", "$"}
_PATTERNS = 4096
_OF_SERVICES_ONLY = {"aws:viaawsservice", "aws:principalisawsservice"}
_GLOBAL_KEYS = """calledvia calledviafirst calledvialast currenttime epochtime federatedprovider multifactorauthage
multifactorauthpresent principalaccount principalarn principalisawsservice principalorgid principalorgpaths
principalservicename principalservicenameslist principaltag/ principaltype requestedregion requesttag/ resourceaccount
resourceorgid resourceorgpaths resourcetag/ securetransport sourceaccount sourcearn sourceip sourceorgid sourceorgpaths
sourceowner sourcevpc sourcevpcarn sourcevpce tagkeys tokenissuetime userid username viaawsservice vpcsourceip"""
_OTHER_KEYS = """cloudwatch:namespace dynamodb:attributes dynamodb:enclosingoperation dynamodb:leadingkeys
dynamodb:select iam:passedtoservice iam:permissionsboundary iam:policyarn lambda:functionurlauthtype
s3:dataaccesspointaccount
s3:dataaccesspointarn s3:delimiter s3:existingobjecttag/ s3:if-match s3:if-none-match s3:max-keys s3:prefix
s3:resourceaccount s3:x-amz-acl s3:x-amz-grant-full-control s3:x-amz-grant-read s3:x-amz-grant-read-acp
s3:x-amz-grant-write s3:x-amz-grant-write-acp s3:x-amz-server-side-encryption sts:externalid sts:rolesessionname"""
_COMPUTED = {f"aws:{name}" for name in _GLOBAL_KEYS.split()} | {*_OTHER_KEYS.split()}
"""Condition keys that a request has not if they have no value; a `/` stands before a tag."""
_WITHOUT_TAGS = {"cloudwatch", "sagemaker"}
"""Services whose resources have tags, which are not found here."""

undecided: ContextVar[str] = ContextVar("undecided", default="")
"""The last condition key of this request that is not computed, for the refusal."""


def install() -> None:
    """Have ministack evaluate policies so."""
    iam_evaluator._fnmatch_compile = compile_pattern
    iam_evaluator._first_match = first_match
    _resolve_more_keys()
    _heed_not_principal()


@lru_cache(_PATTERNS)
def compile_pattern(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    """A pattern of IAM as a regular expression for `match`: `*` and `?` stand for any characters, `${*}` for itself."""
    parts = re.split(r"(\*|\?|\$\{[*?$]\})", pattern)
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(part) or re.escape(part[2] if part.startswith("${") else part) for part in parts)
    return re.compile(f"(?:{expression})\\Z", re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def first_match(asked: EvalContext, statements: list[ParsedStatement], effect: str) -> ParsedStatement | None:
    """The first statement of this effect that applies to a request."""
    for statement in statements:
        if statement.effect == effect and _applies(asked, statement):
            return statement
    return None


def _applies(asked: EvalContext, statement: ParsedStatement) -> bool:
    denies = statement.effect == "Deny"
    if not (statement.actions or statement.not_actions):
        return denies
    if not iam_evaluator._action_matches(asked.action, statement.actions, statement.not_actions):
        return False
    resources, others = (
        [_filled(text, asked) for text in texts] for texts in (statement.resources, statement.not_resources)
    )
    if None in others and not denies:
        return False  # nobody knows what else it should allow
    named = [[text for text in texts if text is not None] for texts in (resources, others)]
    if statement.resources and not named[0]:
        return False
    arn = asked.resource_arn
    whole = [arn.partition(":log-stream:")[0]] if denies and ":log-group:" in arn else []  # a Deny of the group itself
    matches = any(iam_evaluator._resource_matches(one, *named) for one in (arn, *whole))
    return matches and _holds(asked, statement.conditions, denies)


def _holds(asked: EvalContext, conditions: Any, denies: bool) -> bool:
    if not isinstance(conditions, Mapping):
        return denies
    for operator, keys in conditions.items():
        if not isinstance(keys, Mapping) or not _is_known(operator):
            if not denies:
                return False
            continue
        for key, expected in keys.items():
            texts = [_filled(str(text), asked) for text in (expected if isinstance(expected, list) else [expected])]
            values = [
                text if "like" in operator.lower() or "arn" in operator.lower() else _plain(text)
                for text in texts
                if text is not None
            ]
            found = iam_evaluator._resolve_condition_key(key, asked)
            if found is None and not _is_computed(key.lower(), asked.resource_arn):
                undecided.set(key)
                if not denies:
                    return False
                continue
            compare = operator
            if isinstance(found, list) and ":" not in operator and not key.lower().startswith("aws:requesttag/"):
                compare = f"{'ForAnyValue' if denies else 'ForAllValues'}:{operator}" if found else operator
            if not iam_evaluator._conditions_met({compare: {key: values}}, asked):
                return False
    return True


def _is_known(operator: str) -> bool:
    name = operator.lower().removesuffix("ifexists").removeprefix("forallvalues:").removeprefix("foranyvalue:")
    return name == "null" or name in iam_evaluator._CONDITION_OPS


def _is_computed(key: str, arn: str) -> bool:
    name, slash, _ = key.partition("/")
    if name == "aws:resourcetag" and arn.split(":")[2:3] in [[one] for one in _WITHOUT_TAGS]:
        return False
    return name + slash in _COMPUTED


def _filled(text: str, asked: EvalContext) -> str | None:
    """A text of a policy with the values of its variables, taken literally; None if one of them has no value."""
    if "${" not in text:
        return text
    missing = False

    def value(variable: re.Match[str]) -> str:
        nonlocal missing
        if variable[1] in _LITERALS:
            return variable[0]
        found = iam_evaluator._resolve_condition_key(variable[1].strip(), asked)
        found = variable[2] if found is None else found
        missing = missing or not isinstance(found, str)
        return re.sub(r"[*?$]", r"${\g<0>}", str(found))

    filled = _VARIABLE.sub(value, text)
    return None if missing else filled


def _plain(text: str) -> str:
    return re.sub(r"\$\{([*?$])\}", r"\1", text)


def _resolve_more_keys() -> None:
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, asked: EvalContext) -> Any:
        found, name = resolve(key, asked), key.lower()
        if found is None and name in _OF_SERVICES_ONLY:
            return "false"
        if found is None and name.startswith("aws:resourcetag/"):  # in each kind of policy, not in those of a user only
            tags = {tag.lower(): value for tag, value in (tagging.resource_tags(asked.resource_arn) or {}).items()}
            return tags.get(name.partition("/")[2])
        return found

    tags_of = tagging.resource_tags
    tagging.resource_tags = lambda arn: tags_of(arn.partition(":log-stream:")[0])
    iam_evaluator._resolve_condition_key = resolve_condition_key


def _heed_not_principal() -> None:
    """A Deny with `NotPrincipal` is for everybody but those whom it names; ministack leaves it out."""
    of_resource: Callable[..., Any] = iam_evaluator.evaluate_resource_policy
    of_trust: Callable[..., Any] = iam_evaluator.evaluate_trust_policy

    def evaluate_resource_policy(doc: Any, asked: EvalContext, *more: Any, **options: Any) -> Any:
        return of_resource(with_principals(doc, asked.principal_arn), asked, *more, **options)

    def evaluate_trust_policy(doc: Any, caller: str, asked: EvalContext | None = None) -> bool:
        return bool(of_trust(with_principals(doc, caller), caller, asked))

    iam_evaluator.evaluate_resource_policy = evaluate_resource_policy
    iam_evaluator.evaluate_trust_policy = evaluate_trust_policy


def with_principals(document: Any, caller: str) -> Any:
    """A resource's policy, in which each Deny that is not for a caller's exception is for `*`."""
    if isinstance(document, str):
        if "NotPrincipal" not in document:
            return document
        try:
            document = json.loads(document)
        except ValueError:
            return document
    if not isinstance(document, dict):
        return document
    statements = document.get("Statement", [])
    statements = statements if isinstance(statements, list) else [statements]
    return {**document, "Statement": [_with_principal(one, caller) for one in statements]}


def _with_principal(statement: Any, caller: str) -> Any:
    if not isinstance(statement, dict) or "NotPrincipal" not in statement or statement.get("Effect") != "Deny":
        return statement
    excepted = statement["NotPrincipal"]
    named = excepted.get("AWS", []) if isinstance(excepted, dict) else excepted
    is_excepted = caller in ([named] if isinstance(named, str) else named)
    rest = {name: value for name, value in statement.items() if name != "NotPrincipal"}
    if is_excepted or iam_evaluator._names_caller(excepted, caller):
        return {**rest, "Principal": {}}
    return {**rest, "Principal": "*"}
