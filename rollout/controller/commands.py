"""How the commands in a message are written, so that a person who is woken at night can paste them.

Commands.of_stack("prod").modelstack    # "modelstack --stack prod"
Commands.of_stack("local").modelstack   # "modelstack": the stack that is meant when none is named
"""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STACK = "local"


@dataclass(frozen=True)
class Commands:
    """The commands that concern one endpoint.

    Attributes:
        modelstack: `modelstack` with the options that lead to the endpoint.
        pulumi_up: The update of its stack.
    """

    modelstack: str = "modelstack"
    pulumi_up: str = "pulumi up"

    @property
    def lift(self) -> str:
        """Lets checkout and config count again, where a release is restored."""
        return f'{self.modelstack} restore --clear --reason "..."'

    @classmethod
    def of_stack(cls, stack: str) -> Commands:
        """The commands of a stack; the default stack, and an unknown one (empty), need no name."""
        if stack in {"", DEFAULT_STACK}:
            return cls()
        return cls(f"modelstack --stack {stack}", f"pulumi up --stack {stack}")

    @classmethod
    def of_endpoint(cls, endpoint: str, region: str) -> Commands:
        """The commands of an endpoint that is named outright, without its stack."""
        return cls(f"modelstack --endpoint {endpoint} --region {region}")

    @classmethod
    def of_cluster(cls, namespace: str, name: str, context: str) -> Commands:
        """The commands of an endpoint on a cluster that is named outright, by the context of the kubeconfig."""
        return cls(f"modelstack --endpoint {namespace}/{name}" + f" --context {context}" * bool(context))


PLAIN = Commands()
