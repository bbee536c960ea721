"""Write schema.json: the names and types of every served resource, taken from the installed `pulumi_aws` SDK.

    python -m localcloud.awsplugin.schema_build            # write schema.json again
    python -m localcloud.awsplugin.schema_build --check    # exit 1 when it is not what the installed SDK says

Importing the SDK takes a second, so the plugin reads this file instead. A type is written as the plugin's checker reads
it: `string`, `integer`, `number`, `boolean`, `asset`, `any`, `[T` (list), `{T` (map), `#Name` (object in `types`),
`json` (a JSON text or the document itself), `string:Name` (a string out of `enums`).
"""

from __future__ import annotations

import argparse
import builtins
import collections.abc
import enum
import importlib
import importlib.metadata
import json
import sys
import typing
from pathlib import Path
from typing import Any

import pulumi

from localcloud.awsplugin.schema import PATH
from localcloud.awsplugin.services import TYPES

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


class Builder:
    """Collects resources, nested types and enums while it walks the SDK's classes."""

    def __init__(self) -> None:
        self.types: dict[str, Any] = {}
        self.enums: dict[str, list[str]] = {}

    def resource(self, token: str) -> dict[str, Any]:
        """Inputs, required inputs and outputs of one resource type token."""
        module, cls = sdk_class(token)
        args = getattr(module, f"{cls.__name__}InitArgs", None) or getattr(module, f"{cls.__name__}Args")
        inputs, required = self.properties(args, module)
        outputs = {
            name: self.render(hint, module)
            for name, hint in _getters(cls, module).items()
            if name not in {"id", "urn", "pulumi_type"}
        }
        return {"inputs": inputs, "required": required, "outputs": outputs}

    def properties(self, args: type, module: Any) -> tuple[dict[str, str], list[str]]:
        """Wire names with types, and the required wire names, of an SDK input class."""
        names = {py: wire for wire, py in _wire_names(args).items()}
        hints = typing.get_type_hints(args.__init__, vars(module), _Names(module))
        required = [
            names[py] for py in names if type(None) not in _union_members(hints[py]) and hints[py] is not typing.Any
        ]
        return {wire: self.render(hints[py], module) for py, wire in sorted(names.items())}, sorted(required)

    def render(self, hint: Any, module: Any) -> str:
        """One type in the notation of this file."""
        options = [o for o in _union_members(hint) if not _is_plumbing(o)]
        classes = [o for o in options if isinstance(o, type) and not typing.is_typeddict(o)]
        enums = [c for c in classes if issubclass(c, enum.Enum)]
        if str in classes and enums:
            name = f"{_folder(enums[0])}/{enums[0].__name__}"
            self.enums[name] = sorted(str(member.value) for member in enums[0])
            return f"string:{name}"
        if str in classes and len(options) > 1:
            return "json"
        if any("Archive" in c.__name__ or "Asset" in c.__name__ for c in classes):
            return "asset"
        return self._plain(options[0] if options else typing.Any, module)

    def _plain(self, option: Any, module: Any) -> str:
        origin = typing.get_origin(option)
        if origin is collections.abc.Sequence:
            return "[" + self.render(typing.get_args(option)[0], module)
        if origin is collections.abc.Mapping:
            return "{" + self.render(typing.get_args(option)[1], module)
        if isinstance(option, type) and option.__module__.startswith("pulumi_aws."):
            return "#" + self.nested(option)
        return _SCALARS.get(option, "any")

    def nested(self, cls: Any) -> str:
        """Register an object type once and return its name. Inputs and outputs of the same object share a name."""
        name = f"{_folder(cls)}/{cls.__name__.removesuffix('Args')}"
        if cls.__name__.endswith("Args") and name not in self.types:
            self.types[name] = {}
            inputs, required = self.properties(cls, sys.modules[cls.__module__])
            self.types[name] = {"inputs": inputs, "required": required}
        return name


class _Names(dict[str, Any]):
    """The names that the SDK's annotations use; a class that a module names but does not import is a placeholder."""

    def __init__(self, module: Any) -> None:
        super().__init__(Output=pulumi.Output, T=typing.TypeVar("T"), **vars(module))

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        return type(name, (), {})


def sdk_class(token: str) -> tuple[Any, type]:
    """The SDK's module and class of a resource type token like `aws:s3/bucket:Bucket`."""
    folder, file = token.split(":")[1].split("/")
    folder = {"lambda": "lambda_"}.get(folder, folder)
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in file)
    module = importlib.import_module(f"pulumi_aws.{folder}.{snake}")
    cls = getattr(module, token.rpartition(":")[2])
    if cls.pulumi_type != token:
        raise ValueError(f"{cls} says it is {cls.pulumi_type}, not {token}")
    return module, cls


def _folder(cls: type) -> str:
    return cls.__module__.split(".")[1]


def _union_members(hint: Any) -> list[Any]:
    if typing.get_origin(hint) is typing.Union:
        return [m for arg in typing.get_args(hint) for m in _union_members(arg)]
    return [hint]


def _is_plumbing(option: Any) -> bool:
    origin = typing.get_origin(option)
    return (
        option is type(None)
        or origin is collections.abc.Awaitable
        or getattr(origin, "__name__", "") == "Output"
        or typing.is_typeddict(option)
    )


def _wire_names(cls: type) -> dict[str, str]:
    """Wire name -> Python name of an SDK class, from its decorated getters."""
    return {
        getattr(prop.fget, "_pulumi_name", py): py
        for py, prop in vars(cls).items()
        if isinstance(prop, property) and prop.fget is not None
    }


def _getters(cls: type, module: Any) -> dict[str, Any]:
    return {
        wire: typing.get_args(typing.get_type_hints(vars(cls)[py].fget, vars(module), _Names(module))["return"])[0]
        for wire, py in sorted(_wire_names(cls).items())
    }


def build() -> str:
    """The text of schema.json for the installed SDK."""
    builder = Builder()
    resources = {token: builder.resource(token) for token in TYPES}
    document = {
        "sdk": importlib.metadata.version("pulumi-aws"),
        "resources": resources,
        "types": dict(sorted(builder.types.items())),
        "enums": dict(sorted(builder.enums.items())),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Write schema.json, or with `--check` say whether it is current."""
    parser = argparse.ArgumentParser(prog="python -m localcloud.awsplugin.schema_build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 when schema.json is not current")
    options = parser.parse_args(argv)
    text = build()
    if not options.check:
        Path(PATH).write_text(text)
    elif Path(PATH).read_text() != text:
        print(f"{PATH} is not what the installed pulumi-aws says; run python -m localcloud.awsplugin.schema_build")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
