"""Pulumi's options of a component, and methods that declare one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeAlias, TypeVar

import pulumi
from pulumi.resource import create_urn

Opts: TypeAlias = pulumi.ResourceOptions | None
_Of = TypeVar("_Of")
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def once(declare: Callable[Concatenate[_Of, _Given], _Made]) -> Callable[Concatenate[_Of, _Given], _Made]:
    """A method that declares a component at its first call; later calls take no arguments, and return the same.

    `pulumi.RunError` for arguments at a later call, and for options that are none.
    """

    @wraps(declare)
    def method(of: _Of, *args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        made, name = vars(of).setdefault("_made", {}), declare.__name__
        if name not in made:
            expect(f"{name}(opts=...)", kwargs.get("opts"), pulumi.ResourceOptions, None)
            made[name] = declare(of, *args, **kwargs)
        elif args or kwargs:
            raise pulumi.RunError(f"{name}() is declared already: pass {', '.join(kwargs)} to the first call of it")
        return made[name]

    return method


def expect(what: str, value: object, *kinds: type | None) -> None:
    """`pulumi.RunError` unless a value is of one of these types; None stands for itself."""
    if not any(value is None if kind is None else isinstance(value, kind) for kind in kinds):
        names = " or ".join(kind.__name__ if kind else "None" for kind in kinds)
        raise pulumi.RunError(f"{what}: got {type(value).__name__} {value!r}, expected {names}")


def urn_of(name: str, type_: str, opts: Opts) -> Awaitable[str | None]:
    """The URN of a resource with these options, as an input of the resource itself.

    It depends on no resource: to depend on a parent is to depend on all of its children.
    """
    return create_urn(name, type_, opts.parent if opts else None).future()
