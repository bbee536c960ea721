"""What a streamed preview says is read: resources, findings, errors, permissions and cost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelstack.cli.report.infrastructure import Prices, costs, permissions
from modelstack.cli.report.preview import PACKAGE, ROLLOUT, UNKNOWN, Preview, read

CONFIG = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
ROLE = "aws:iam/rolePolicy:RolePolicy"
PRICES = Prices({"ml.m5.large": 0.1, "ml.m5.xlarge": 0.2}, 730, "2026-11-28")


def step(op: str, kind: str, name: str, old: Any = None, new: Any = None, **more: Any) -> str:
    urn = f"urn:pulumi:dev::modelstack::{kind}::{name}"
    sides = {
        side: None if inputs is None else {"type": kind, "urn": urn, "custom": True, "inputs": inputs}
        for side, inputs in (("old", old), ("new", new))
    }
    return json.dumps({"resourcePreEvent": {"metadata": {"op": op, "urn": urn, "type": kind, **sides, **more}}})


def policy(*statements: dict[str, Any]) -> dict[str, str]:
    return {"policy": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def allow(action: str, on: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": on}


def config(name: str, kind: str, count: int = 1) -> dict[str, Any]:
    return {"name": name, "productionVariants": [{"instanceType": kind, "initialInstanceCount": count}]}


def test_the_steps_of_a_replacement_are_one_resource_that_is_replaced() -> None:
    lines = [
        step("create-replacement", CONFIG, "solo", {"name": "a"}, {"name": "b"}, keys=["name"], diffs=["name"]),
        step("replace", CONFIG, "solo", {"name": "a"}, {"name": "b"}),
        step("delete-replaced", CONFIG, "solo", {"name": "a"}),
        step("same", CONFIG, "other", {"name": "c"}, {"name": "c"}),
    ]
    seen = read(lines, 0)
    (found,) = seen.changes
    assert (found.kind, found.name, found.replaces, found.old, found.new) == (
        *("replace", "solo", ("name",), {"name": "a"}, {"name": "b"}),
    )
    assert len(seen.resources) == 2


def test_components_providers_and_reads_are_no_changes() -> None:
    component = json.loads(step("create", "modelstack:index:Registry", "registry", None, {}))
    component["resourcePreEvent"]["metadata"]["new"]["custom"] = False
    lines = [
        json.dumps(component),
        step("create", "pulumi:providers:aws", "default", None, {}),
        step("read", CONFIG, "x", None, {}),
    ]
    assert read(lines, 0).resources == ()


def test_findings_and_errors_are_told_once_and_without_colours() -> None:
    event = {
        "policyName": "captured",
        "policyPackName": "modelstack|x",
        "enforcementLevel": "mandatory",
        "resourceUrn": "urn:pulumi:dev::modelstack::t::solo-1",
        "message": "<{%fg 1%}>capture is off<{%reset%}>\n",
    }
    advice = {
        **event,
        "policyName": "exemptions",
        "enforcementLevel": "advisory",
        "resourceUrn": "a::pulumi:pulumi:Stack::m",
    }
    excepted = {**event, "policyName": "own-key", "exceptions": [{"id": "EXC-1"}]}
    lines = [json.dumps({"policyEvent": item}) for item in (event, event, advice, excepted)]
    lines += [json.dumps({"diagnosticEvent": {"severity": "error", "message": "\x1b[31mno recipe\x1b[0m"}})]
    lines += ["error: preview failed", "{ not json", "Loading policy packs..."]
    seen = read(lines, 255)
    assert [(item.policy, item.resource, item.message, item.stops) for item in seen.findings] == [
        ("captured", "solo-1", "capture is off", True),
        ("exemptions", "", "capture is off", False),
        ("own-key", "solo-1", "capture is off", False),
    ]
    assert (seen.code, seen.errors, seen.packs) == (255, ("no recipe", "preview failed"), ("modelstack",))


CLUSTER_ROLE = "kubernetes:rbac.authorization.k8s.io/v1:Role"
OLD_RULE = {**{"apiGroups": ["modelstack.dev"], "resources": ["rollouts"], "resourceNames": ["a"], "verbs": ["get"]}}
NEW_RULE = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["*"]}
SAME = allow("s3:GetObject", "arn:b/*")


@pytest.mark.parametrize(
    ("kind", "old", "new", "told"),
    [
        (
            ROLE,
            policy(SAME, allow("s3:PutObject", "arn:b/x")),
            policy(SAME, allow("s3:*", "*"), allow("dynamodb:GetItem", "arn:t")),
            [
                (True, ("s3:*",), ("*",), True),
                (True, ("dynamodb:GetItem",), ("arn:t",), False),
                (False, ("s3:PutObject",), ("arn:b/x",), False),
            ],
        ),
        (
            *(CLUSTER_ROLE, {"rules": [OLD_RULE]}, {"rules": [NEW_RULE]}),
            [(True, ("*",), ("core/secrets",), True), (False, ("get",), ("modelstack.dev/rollouts (a)",), False)],
        ),
    ],
    ids=["IAM", "cluster"],
)
def test_only_statements_that_differ_are_told_and_wide_ones_first(kind: str, old: Any, new: Any, told: Any) -> None:
    found = permissions(read([step("update", kind, "role", old, new)], 0))
    assert [(one.adds, one.actions, one.on, one.wide) for one in found.statements] == told
    assert found.unknown == ()


def test_trust_attachments_and_invocations_are_permissions_too() -> None:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    lines = [
        step("create", "aws:iam/role:Role", "r", None, {"assumeRolePolicy": policy(trust)["policy"]}),
        step("create", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", None, {"policyArn": "arn:x/Admin"}),
        step(
            *("delete", "aws:lambda/permission:Permission", "p"),
            {"principal": "events.amazonaws.com", "action": "lambda:InvokeFunction", "function": "f"},
        ),
    ]
    found = {one.resource: one for one in permissions(read(lines, 0)).statements}
    assert found["r"].who == ("Service: lambda.amazonaws.com",) and found["r"].adds
    assert (found["a"].effect, found["a"].on) == ("Attach", ("arn:x/Admin",))
    assert (found["p"].adds, found["p"].who, found["p"].on) == (False, ("events.amazonaws.com",), ("f",))


@pytest.mark.parametrize(
    ("statement", "wide"),
    [
        ({"Action": "s3:*Object", "Resource": "arn:b/x"}, True),
        ({"NotAction": "iam:CreateUser", "Resource": "arn:b/x"}, True),
        ({"Action": "s3:GetObject", "NotResource": "arn:b/x"}, True),
        ({"NotPrincipal": {"AWS": "arn:x"}, "Action": "s3:GetObject", "Resource": "arn:b/x"}, True),
        ({"Principal": "*", "Action": "s3:GetObject", "Resource": "arn:b/x"}, True),
        ({"Principal": {"Federated": "*"}, "Action": "sts:AssumeRoleWithWebIdentity"}, True),
        ({"Principal": {"AWS": "arn:x"}, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bucket/*"}, False),
        ({"Effect": "Deny", "NotAction": "iam:CreateUser", "Resource": "*"}, False),
        ({"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}, False),
    ],
)
def test_what_allows_anybody_all_but_a_few_or_many_by_a_pattern_is_wide(statement: dict[str, Any], wide: bool) -> None:
    lines = [step("create", ROLE, "role", None, policy({"Effect": "Allow", **statement}))]
    (found,) = permissions(read(lines, 0)).statements
    assert found.wide is wide


def test_all_but_one_is_told_as_that() -> None:
    allowed = {"Effect": "Allow", "NotPrincipal": {"AWS": "arn:x"}, "NotAction": "iam:*", "NotResource": "arn:b"}
    (found,) = permissions(read([step("create", ROLE, "role", None, policy(allowed))], 0)).statements
    assert (found.who, found.actions, found.on) == (("not AWS: arn:x",), ("not iam:*",), ("not arn:b",))


@pytest.mark.parametrize(
    ("arn", "wide"),
    [
        ("arn:aws:iam::aws:policy/AdministratorAccess", True),
        ("arn:aws:iam::aws:policy/AmazonS3FullAccess", True),
        ("arn:aws:iam::123456789012:policy/of-our-own", False),
    ],
)
def test_an_attached_policy_that_aws_keeps_is_wide(arn: str, wide: bool) -> None:
    lines = [step("create", "aws:iam/rolePolicyAttachment:RolePolicyAttachment", "a", None, {"policyArn": arn})]
    assert [one.wide for one in permissions(read(lines, 0)).statements] == [wide]


def test_documents_within_lists_and_those_that_are_no_text_are_found() -> None:
    statement = allow("s3:GetObject", "arn:b/x")
    inline = {"inlinePolicies": [{"name": "p", "policy": policy(statement)["policy"]}, {"policy": UNKNOWN}]}
    plain = {"policy": {"Version": "2012-10-17", "Statement": statement}}
    lines = [step("create", "aws:iam/role:Role", "listed", None, inline), step("create", ROLE, "plain", None, plain)]
    found = permissions(read(lines, 0))
    assert [(one.resource, one.actions) for one in found.statements] == [("plain", ("s3:GetObject",))]
    assert found.unknown == ("listed",)
    known = {"inlinePolicies": inline["inlinePolicies"][:1]}
    (one,) = permissions(read([step("create", "aws:iam/role:Role", "listed", None, known)], 0)).statements
    assert one.on == ("arn:b/x",)


def test_a_document_that_is_not_known_yet_is_named_and_what_is_known_beside_it_is_told() -> None:
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    before = {"assumeRolePolicy": policy()["policy"], "inlinePolicies": [policy(allow("s3:*", "*"))]}
    after = {"assumeRolePolicy": policy(trust)["policy"], "inlinePolicies": [{"policy": UNKNOWN}]}
    lines = [
        step("update", "aws:iam/role:Role", "r", before, after),
        step("create", ROLE, "role", None, {"policy": UNKNOWN}),
    ]
    found = permissions(read(lines, 0))
    assert [(one.adds, one.who, one.wide) for one in found.statements] == [(True, ("AWS: *",), True)]
    assert found.unknown == ("r", "role")


def test_the_cost_is_that_of_the_config_that_serves_now_in_the_trial_and_afterwards() -> None:
    both = {"name": "pair", "productionVariants": [*config("", "ml.m5.large")["productionVariants"]] * 2}
    lines = [
        step("same", CONFIG, "solo-a", config("a", "ml.m5.large"), config("a", "ml.m5.large")),
        step("create", CONFIG, "solo-b", None, config("b", "ml.m5.xlarge", 2)),
        step("create", CONFIG, "pair", None, both),
        step(
            "update",
            ROLLOUT,
            "rollout",
            {},
            {"desired_release": {"config_name": "b"}, "trial_config": "pair", "start_trial": True},
        ),
    ]
    found = costs(read(lines, 0), PRICES, "a")
    assert (found.now.monthly, found.trial.monthly, found.after.monthly) == (73.0, 146.0, 292.0)
    assert found.after.what == "2 x ml.m5.xlarge"


def test_what_serves_afterwards_is_the_new_config_where_the_target_is_not_known_yet() -> None:
    lines = [
        step("create", CONFIG, "solo-b", None, config("b", "ml.m5.large", 2)),
        step("create", CONFIG, "pair-c", None, config("c", "ml.m5.large", 3)),
        step("update", ROLLOUT, "rollout", {}, {"desired_release": UNKNOWN, "trial_config": "c", "start_trial": True}),
    ]
    found = costs(read(lines, 0), PRICES, None)
    assert found.after is not None and found.after.what == "2 x ml.m5.large"


def test_an_instance_without_a_price_is_named() -> None:
    found = costs(read([step("create", CONFIG, "s", None, config("b", "ml.new.huge"))], 0), PRICES, None)
    assert found.now is None and found.after is not None
    assert (found.after.monthly, found.after.unpriced) == (0.0, ("ml.new.huge",))


def test_what_the_program_declares_is_found_by_its_type() -> None:
    seen = read([step("create", PACKAGE, "package", None, {"recipe": "ab"})], 0)
    assert seen.only(PACKAGE).new == {"recipe": "ab"}
    assert seen.only(ROLLOUT) is None
    assert read([], 1) == Preview(1)


def diagnostic(message: str) -> str:
    return json.dumps({"diagnosticEvent": {"severity": "error", "message": message}})


SERVES = "what is live on flight-delay-dev is not known, so nothing was changed: read journal: ExpiredToken"
TRACEBACK = 'Program failed with an unhandled exception:\nTraceback (most recent call last):\n  File "x.py"\n{}\n\n'
FAILURES = {
    "a policy": ([json.dumps({"policyEvent": {"policyName": "captured", "enforcementLevel": "mandatory",
        "message": "capture is off"}}), diagnostic("preview failed")], 1, "policy captured: capture is off"),
    "the config": ([diagnostic("stacks/Pulumi.dev.yaml is not valid; nothing was changed:\n"
        "  - modelstack:serving.x = 1: no such field\n  - modelstack:y is missing\n")], 2,
        "stacks/Pulumi.dev.yaml is not valid; nothing was changed: modelstack:serving.x = 1: no such field; "
        "modelstack:y is missing"),
    "the config's file": (["error: getting stack configuration: invalid YAML file: yaml: line 1"], 2,
        "getting stack configuration: invalid YAML file: yaml: line 1"),
    "the program": ([diagnostic(TRACEBACK.format("ZeroDivisionError: a bug"))], 1, "ZeroDivisionError: a bug"),
    "a program that the cloud does not answer": (
        [diagnostic(TRACEBACK.format("botocore.exceptions.ReadTimeoutError: Read timeout"))], 3,
        "botocore.exceptions.ReadTimeoutError: Read timeout"),
    "a refusal": ([diagnostic("the model has no recipe, so nothing was changed: no lock")], 1,
        "the model has no recipe, so nothing was changed: no lock"),
    "the journal": ([diagnostic(SERVES)], 3, SERVES),
    "a local cloud that is down": (
        [diagnostic("the local cloud at http://127.0.0.1:9 does not answer, so nothing was changed. Start it")], 3,
        "the local cloud at http://127.0.0.1:9 does not answer, so nothing was changed. Start it"),
    "no stack": (["error: no stack named 'dev' found"], 3, "no stack named 'dev' found"),
    "a wrong passphrase": (["error: get stack secrets manager: incorrect passphrase"], 3,
        "get stack secrets manager: incorrect passphrase"),
    "no plugin": ([diagnostic("no resource plugin 'pulumi-resource-aws' found in the workspace")], 3,
        "no resource plugin 'pulumi-resource-aws' found in the workspace"),
    "nothing said": ([], 3, "pulumi gave no reason"),
}  # fmt: skip
"""What Pulumi writes in each case, the exit code of the command, and the cause that it names."""


@pytest.mark.parametrize("case", FAILURES)
def test_a_failed_preview_names_its_cause_and_whether_the_checkout_has_it(case: str) -> None:
    lines, code, cause = FAILURES[case]
    seen = read(lines, 1)
    assert (seen.exit_code, seen.cause) == (code, cause)
    assert read(lines, 0).exit_code == 0
