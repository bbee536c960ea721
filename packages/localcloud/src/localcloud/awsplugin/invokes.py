"""Functions that the plugin answers: `aws.get_caller_identity` and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from localcloud.awsplugin.cloud import Cloud
from localcloud.awsplugin.failures import InvalidError, explain
from localcloud.awsplugin.wire import Props


@dataclass(frozen=True)
class Answer:
    """A function's result, or pairs of argument and reason."""

    result: Props = field(default_factory=dict)
    failures: list[tuple[str, str]] = field(default_factory=list)


def invoke(token: str, args: Props, cloud: Cloud) -> Answer:
    """Call a function by its token.

    Raises:
        InvalidError: The function is not served.
        Failure: The cloud refused.
    """
    if token not in FUNCTIONS:
        raise InvalidError(
            f"the local AWS plugin does not serve the function {token}. It serves: {', '.join(sorted(FUNCTIONS))}"
        )
    function, accepted = FUNCTIONS[token]
    unknown = [
        (name, f"{token} has no argument {name!r}; known: {', '.join(accepted)}") for name in args.keys() - accepted
    ]
    if unknown:
        return Answer(failures=sorted(unknown))
    try:
        return Answer(function(args, cloud))
    except Exception as error:
        raise explain(error, cloud.settings.endpoint) from error


def _caller_identity(args: Props, cloud: Cloud) -> Props:
    found = cloud.identity
    return {"accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"], "id": found["Account"]}


def _region(args: Props, cloud: Cloud) -> Props:
    name = args.get("region") or args.get("name") or args.get("id") or cloud.settings.region
    return {
        "id": name,
        "name": name,
        "region": name,
        "description": name,
        "endpoint": f"ec2.{name}.amazonaws.com{'.cn' if name.startswith('cn-') else ''}",
    }


FUNCTIONS: dict[str, tuple[Callable[[Props, Cloud], Props], set[str]]] = {
    "aws:index/getCallerIdentity:getCallerIdentity": (_caller_identity, {"id"}),
    "aws:index/getRegion:getRegion": (_region, {"id", "name", "region"}),
}
