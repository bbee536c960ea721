"""What may a caller of one account do with a resource of another?

Both accounts must allow it: the caller's by its own policies (its root has all rights), the owner's by the policy of
the resource. ministack decides so for some services, for a root never; and for most it finds no resource but the
caller's own. `owners` serves what is allowed.

A role is assumed by its trust policy instead, which STS asks. A bucket whose ACLs are in force is left to S3.

Source: IAM user guide, "Cross-account policy evaluation logic"; AWS KMS developer guide, "Allowing users in other
accounts to use a KMS key"; Amazon S3 user guide, "Controlling ownership of objects".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack.core import iam_actions, iam_evaluator, router
from ministack.core.iam_evaluator import EvalContext, EvalResult
from ministack.core.responses import get_account_id, get_region, request_scope
from ministack.services import s3

from localcloud.server.accounts import Accounts
from localcloud.server.owners import BUCKET, owner_of
from localcloud.server.platform import HasPolicies, Service

Running = Callable[[str, str], Mapping[str, Service] | None]
"""The services of ours of an account and a region, if they run."""

KEY_ACTIONS = frozenset(
    f"kms:{name}"
    for name in (
        "CreateGrant",
        "Decrypt",
        "DescribeKey",
        "Encrypt",
        "GenerateDataKey",
        "GenerateDataKeyPair",
        "GenerateDataKeyPairWithoutPlaintext",
        "GenerateDataKeyWithoutPlaintext",
        "GenerateMac",
        "GetKeyRotationStatus",
        "GetPublicKey",
        "ListGrants",
        "RetireGrant",
        "RevokeGrant",
        "Sign",
        "Verify",
        "VerifyMac",
    )
)
"""What a key's policy can allow to other accounts; leave for anything else has no effect."""

_RESOURCE_ACCOUNT = {"aws:resourceaccount", "s3:resourceaccount"}


def install(accounts: Accounts, running: Running) -> None:
    """Have ministack ask both accounts."""
    _find_policies_of_others(running)
    _say_which_policy_lacks()
    _ask_for_roots(accounts)
    _trust_no_foreign_root_as_a_service()
    _leave_buckets_to_policies()
    _know_whose_a_bucket_is()


def _find_policies_of_others(running: Running) -> None:
    policy_of = iam_evaluator._resource_policy

    def resource_policy(service: str, resource_arn: str) -> Any:
        owner = owner_of(resource_arn)
        if owner is None or owner == get_account_id() or service == "sts":
            return policy_of(service, resource_arn)
        region = resource_arn.split(":")[3] or get_region()
        if service == "sagemaker":
            services = running(owner, region)
            holder = services.get("sagemaker") if services else None
            return (holder.policy_of(resource_arn) if isinstance(holder, HasPolicies) else ""), owner
        with request_scope(owner, region):
            return policy_of(service, resource_arn) or ("", owner)

    iam_evaluator._resource_policy = resource_policy


def _say_which_policy_lacks() -> None:
    combine = iam_evaluator.combine_resource_policy

    def combine_resource_policy(
        identity: EvalResult, ctx: EvalContext, policy: Any, owner_account: str | None, *more: Any, **limits: Any
    ) -> EvalResult:
        found = combine(identity, ctx, policy, owner_account, *more, **limits)
        if owner_account is None or owner_account == ctx.principal_account or identity.decision != "Allow":
            return found
        if found.decision == "ImplicitDeny" and _is_left_to_s3(ctx, owner_account):
            return identity
        if ctx.action.startswith("kms:") and ctx.action not in KEY_ACTIONS:
            found = EvalResult("ImplicitDeny", ctx.principal_arn)
        if found.decision == "ImplicitDeny":
            found.resource_policy_arn = ctx.resource_arn
        return found

    iam_evaluator.combine_resource_policy = combine_resource_policy


def _is_left_to_s3(ctx: EvalContext, owner: str) -> bool:
    if not ctx.resource_arn.startswith(BUCKET):
        return False
    bucket = ctx.resource_arn.removeprefix(BUCKET).partition("/")[0]
    return ctx.action == "s3:CreateBucket" or not s3._bucket_owner_enforced(s3._buckets.get_scoped(owner, None, bucket))


def _ask_for_roots(accounts: Accounts) -> None:
    """A root has all rights in its own account; ministack lets it do everything anywhere."""
    enforce = iam_evaluator.enforce

    def enforced(access_key_id: str, iam_action: str, service: str, region: str, *about: Any, **more: Any) -> Any:
        refusal = enforce(access_key_id, iam_action, service, region, *about, **more)
        root = accounts.root(access_key_id)
        if refusal is not None or root is None:
            return refusal
        arn, context = _about(*about, **more)
        if owner_of(arn) in (None, root.account):
            return None
        asked = EvalContext(root.arn, "Root", root.account, iam_action, arn, region, service_context=context)
        return _refusal_of_root(service, asked)

    iam_evaluator.enforce = enforced


def _about(resource_arn: str = "*", service_context: Mapping[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
    """The last parameters of ministack's `enforce`, with the condition keys as it compares them."""
    return resource_arn, {key.lower(): value for key, value in (service_context or {}).items()}


def _refusal_of_root(service: str, asked: EvalContext) -> EvalResult | None:
    with request_scope(asked.principal_account, asked.region):
        found = iam_evaluator._resource_policy(service, asked.resource_arn)
    if found is None:
        return None
    result = iam_evaluator.combine_resource_policy(EvalResult("Allow", asked.principal_arn), asked, *found)
    result.principal_arn = asked.principal_arn
    return None if result.decision == "Allow" else result


def _trust_no_foreign_root_as_a_service() -> None:
    """A root passes with ministack as each service that a trust policy names, as its own services call as root."""
    allows = iam_evaluator.evaluate_trust_policy

    def evaluate_trust_policy(trust: Any, caller_arn: str, ctx: EvalContext | None = None) -> bool:
        if ctx is not None and owner_of(ctx.resource_arn) not in (None, ctx.principal_account):
            document = json.loads(trust) if isinstance(trust, str) else trust
            statements = document.get("Statement", [])
            statements = [statements] if isinstance(statements, dict) else statements
            trust = {**document, "Statement": [_without_services(statement) for statement in statements]}
        return allows(trust, caller_arn, ctx)

    iam_evaluator.evaluate_trust_policy = evaluate_trust_policy


def _without_services(statement: Mapping[str, Any]) -> dict[str, Any]:
    principal = statement.get("Principal", {})
    if isinstance(principal, dict):
        principal = {kind: named for kind, named in principal.items() if kind != "Service"}
    return {**statement, "Principal": principal}


def _leave_buckets_to_policies() -> None:
    """S3 asks a bucket's policy once more, as if each caller were its account's root: what was asked is enough."""
    allows = s3._foreign_bucket_allows

    def foreign_bucket_allows(owner: str, name: str, key: str, method: str, *about: Any) -> bool:
        query, caller = about[:2]
        bucket = s3._buckets.get_scoped(owner, None, name)
        signed = iam_evaluator._verified_key.get() or router.extract_access_key_id({}, query)
        action = iam_actions._s3_action(method, f"/{name}/{key}" if key else f"/{name}", query)
        if not (caller and signed and action) or bucket is None or not s3._bucket_owner_enforced(bucket):
            return allows(owner, name, key, method, *about)
        public = s3._policy_is_public(s3._bucket_policies.get_scoped(owner, None, name))
        return not (public and s3._public_access_blocked(owner, name, "RestrictPublicBuckets"))

    s3._foreign_bucket_allows = foreign_bucket_allows


def _know_whose_a_bucket_is() -> None:
    """`aws:ResourceAccount` of a bucket, whose ARN names no account, is that of its owner."""
    resolve = iam_evaluator._resolve_condition_key

    def resolve_condition_key(key: str, ctx: EvalContext) -> Any:
        if key.lower() in _RESOURCE_ACCOUNT and ctx.resource_arn.startswith(BUCKET):
            return owner_of(ctx.resource_arn) or ctx.principal_account
        return resolve(key, ctx)

    iam_evaluator._resolve_condition_key = resolve_condition_key
