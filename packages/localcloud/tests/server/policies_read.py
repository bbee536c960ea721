"""Run by the local cloud's Python: prints as JSON how policies are evaluated, for `test_ministack_contract.py`."""

import json
import os
import tempfile
from typing import Any

os.environ.update(AUTH="true", STATE_DIR=tempfile.mkdtemp(), IOT_MTLS_ENABLED="0")

from ministack.core import iam_evaluator

from localcloud.server import policies

policies.install()
USER = "arn:aws:iam::000000000000:user/ada"
KEYS = {"aws:username": "ada", "aws:principaltag/team": "a*"}


def decision(resource: str, *statements: Any, **context: Any) -> str:
    asked = iam_evaluator.EvalContext(
        USER,
        "User",
        "000000000000",
        "s3:GetObject",
        resource,
        "us-east-1",
        service_context=context.get("context", {}),
        principal_keys=KEYS,
    )
    return iam_evaluator.evaluate(
        asked, [iam_evaluator.parse_policy_document({"Statement": list(statements)})]
    ).decision


def one(effect: str = "Allow", **parts: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": "*", "Resource": "*", **parts}


def by_resource(effect: str, principal: Any, **parts: Any) -> str:
    asked = iam_evaluator.EvalContext(USER, "User", "000000000000", "s3:GetObject", "r", "us-east-1")
    document = {"Statement": [one(Principal="*"), one(effect, **parts, NotPrincipal=principal)]}
    return iam_evaluator.evaluate_resource_policy(json.dumps(document), asked).decision


def condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key: value}}}


many = {"context": {"dynamodb:leadingkeys": ["mine", "theirs"]}}
print(
    json.dumps(
        {
            "a newline in a denied name": decision("b/x\ny", one(), one("Deny", Resource="b/*")),
            "a newline behind an allowed name": decision("b\n", one(Resource="b")),
            "an own name": decision("b/ada/x", one(Resource="b/${aws:username}/*")),
            "another name": decision("b/eve/x", one(Resource="b/${aws:username}/*")),
            "an own name denied": decision("b/ada/x", one(), one("Deny", Resource="b/${aws:username}/*")),
            "a star in a tag is no pattern": decision("b/abc", one(Resource="b/${aws:PrincipalTag/team}")),
            "a star in a tag": decision("b/a*", one(Resource="b/${aws:PrincipalTag/team}")),
            "no value": decision("b/x", one(Resource="b/${aws:PrincipalTag/none}")),
            "no value, the rest": decision("b/x", {**one(NotResource="b/${aws:PrincipalTag/none}"), "Resource": []}),
            "a default": decision("b/x", one(Resource="b/${aws:PrincipalTag/none, 'x'}")),
            "a star itself": decision("b/x", one(Resource="b/${*}")),
            "a name in a condition": decision("r", one(**condition("StringEquals", "aws:username", "${aws:username}"))),
            "an unknown operator allows": decision("r", one(**condition("StringSort", "aws:username", "ada"))),
            "an unknown operator denies": decision("r", one(), one("Deny", **condition("StringSort", "x", "y"))),
            "no set operator allows": decision(
                "r", one(**condition("StringEquals", "dynamodb:LeadingKeys", "mine")), **many
            ),
            "no set operator denies": decision(
                "r", one(), one("Deny", **condition("StringEquals", "dynamodb:LeadingKeys", "theirs")), **many
            ),
            "all of a set": decision(
                "r", one(**condition("ForAllValues:StringEquals", "dynamodb:LeadingKeys", ["mine"])), **many
            ),
            "any of a set": decision(
                "r", one(**condition("ForAnyValue:StringLike", "dynamodb:LeadingKeys", ["m*"])), **many
            ),
            "any of no set": decision("r", one(**condition("ForAnyValue:StringLike", "dynamodb:LeadingKeys", ["m*"]))),
            "if it exists": decision("r", one(**condition("StringEqualsIfExists", "aws:RequestTag/x", "y"))),
            "no service calls": decision("r", one(), one("Deny", **condition("Bool", "aws:ViaAWSService", "false"))),
            "denied to all but another": by_resource("Deny", {"AWS": "arn:aws:iam::000000000000:user/eve"}),
            "denied to all but her": by_resource("Deny", {"AWS": [USER]}),
            "denied to all but a service": by_resource("Deny", {"Service": "s3.amazonaws.com"}),
        }
    )
)
