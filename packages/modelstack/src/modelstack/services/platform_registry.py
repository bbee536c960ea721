"""The installed platforms, by name: `await platform("aws").use("stack")(settings, name)`.

A platform is an entry point of the group `modelstack.platforms` whose object is a `Platform`, so other packages can add
one. Only the parts that a command needs are imported.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pkgutil import resolve_name
from typing import Any

GROUP = "modelstack.platforms"
DEFAULT = "aws"
"""The platform of a stack that names none."""
_OWN = "pulumi-modelstack"


@dataclass(frozen=True)
class Platform:
    """The parts that differ between platforms, each as `module:name`, imported at its first use.

    Attributes:
        name: As in `modelstack:platform`.
        stack: `async (settings, name) -> modelstack.program.stack.Stack`: reads what is live, and plans an update.
        problems: `(settings, stack) -> list[Problem]`: what this platform refuses of a stack's config. It must refuse
            settings that the platform does not support; nothing else does.
        champion: `(stack, outputs, account) -> Mapping | None`: the serving release of a stack, and how it is reached;
            `outputs` are all of that stack.
        origin: `(champion) -> modelstack.services.package_registry.Origin`: where the package of such a release is
        read. provider_problems: `(config) -> list[Problem]`: what it refuses of the config of Pulumi's providers, such
        as
            `aws:region`, by full names; empty for nothing. It is reported together with wrong fields.
        begin: `async ()`: starts what takes long, before the config is read, if anything.
        operator: `(target) -> modelstack.cli.platform.port.Platform`: the endpoint of a stack, for the commands, if
        any.
    """

    name: str
    stack: str
    problems: str
    champion: str
    origin: str
    provider_problems: str = ""
    begin: str = ""
    operator: str = ""

    def use(self, what: str) -> Any:
        """Import the part of this name."""
        return resolve_name(getattr(self, what))


class UnknownPlatform(ValueError):
    """No platform of this name is installed; the message lists those that are."""


@cache
def platform(name: str) -> Platform:
    """The platform of a name, or `UnknownPlatform`."""
    found = _entry(name)
    if found is None:
        allowed = ", ".join(names()) or "none: this checkout is not installed as it is now; run `make setup`"
        raise UnknownPlatform(f"platform: got {name!r}, allowed are {allowed}")
    return found.load()


def names() -> list[str]:
    """The names of all installed platforms; the default one is first."""
    return sorted(
        {entry.name for entry in metadata.entry_points(group=GROUP)}, key=lambda name: (name != DEFAULT, name)
    )


def _entry(name: str) -> metadata.EntryPoint | None:
    # Reading one distribution takes a millisecond, all of an environment thirty.
    for entries in (lambda: metadata.distribution(_OWN).entry_points, metadata.entry_points):
        with suppress(metadata.PackageNotFoundError):
            if found := next(iter(entries().select(group=GROUP, name=name)), None):
                return found
    return None
