"""What must a caller be allowed beside the action that a request asks for? To hand over a role, and to read code.

ministack asks for the action alone. So whoever may make a function could run as any role, or run what lies in any
bucket, one of another account too. Pure.

Source: IAM user guide, "Grant a user permissions to pass a role to an AWS service"; AWS Lambda developer guide,
"Deploying .zip file archives" and "Cross-account S3 access".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

SERVICES = ("events", "lambda", "scheduler", "states")
"""Those of ministack's services that take a role."""
_ROLES = ("Role", "RoleArn", "roleArn")

Need = tuple[str, str, dict[str, str]]
"""An action, on which resource, and its condition keys."""


def needs(service: str, given: Mapping[str, Any]) -> Iterator[Need]:
    """What a request needs beside its action.

    Args:
        service: The router's name.
        given: The operation's input.
    """
    targets = given.get("Targets")
    parts = [given, given.get("Target"), *(targets if isinstance(targets, list) else [])]
    for part in parts:
        for role in (part[name] for name in _ROLES if part.get(name)) if isinstance(part, dict) else ():
            yield "iam:PassRole", str(role), {"iam:PassedToService": f"{service}.amazonaws.com"}
    for part in (given, given.get("Code"), given.get("Content")) if service == "lambda" else ():
        if isinstance(part, dict) and part.get("S3Bucket") and part.get("S3Key"):
            action = "s3:GetObjectVersion" if part.get("S3ObjectVersion") else "s3:GetObject"
            yield action, f"arn:aws:s3:::{part['S3Bucket']}/{part['S3Key']}", {}
