"""The commands in messages, complete, so that a person on call can paste them."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_STACK = "local"


@dataclass(frozen=True)
class Commands:
    """The commands for one endpoint: `modelstack` with its options, and the update of the stack."""

    modelstack: str = "modelstack"
    pulumi_up: str = "pulumi up"

    @property
    def lift(self) -> str:
        """Makes checkout and config apply again, if a release is restored."""
        return f'{self.modelstack} restore --clear --reason "..."'

    @classmethod
    def of_stack(cls, stack: str) -> Commands:
        """The commands of a stack; the default one, and an unknown one (empty), need no option."""
        if stack in {"", DEFAULT_STACK}:
            return cls()
        return cls(f"modelstack --stack {stack}", f"pulumi up --stack {stack}")

    @classmethod
    def of_endpoint(cls, endpoint: str, region: str) -> Commands:
        """The commands of an endpoint that was named without its stack."""
        return cls(f"modelstack --endpoint {endpoint} --region {region}")

    @classmethod
    def of_cluster(cls, namespace: str, name: str, context: str) -> Commands:
        """The commands of an endpoint on a cluster, by the kubeconfig's context."""
        return cls(f"modelstack --endpoint {namespace}/{name}" + f" --context {context}" * bool(context))


PLAIN = Commands()
