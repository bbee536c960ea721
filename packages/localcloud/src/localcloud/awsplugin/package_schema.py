"""The schema of what the plugin serves, in the form of Pulumi's package schemas: `pulumi import` writes code by it.

Source: the metaschema of pulumi/pulumi, `pkg/codegen/schema/pulumi.json`.
"""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.schema import Schema

_KINDS = {"json": {"type": "string"}, "asset": {"$ref": "pulumi.json#/Archive"}}


def package(known: Schema) -> dict[str, Any]:
    """The package schema of the served resource types."""
    return {
        "name": "aws",
        "version": known.sdk,
        "meta": {"moduleFormat": "(.*)(?:/[^/]*)"},
        "types": {
            _token(name): {
                "type": "object",
                "properties": _properties(found["inputs"]),
                "required": found["required"],
            }
            for name, found in known.types.items()
        },
        "resources": {
            token: {
                "inputProperties": _properties(found["inputs"]),
                "requiredInputs": found["required"],
                "properties": _properties(found["outputs"]),
            }
            for token, found in known.resources.items()
        },
    }


def _properties(members: dict[str, str]) -> dict[str, Any]:
    return {name: _type(kind) for name, kind in members.items()}


def _type(kind: str) -> dict[str, Any]:
    """A type as `schema.json` writes it: `[` is a list of what follows, `{` a map of it, `#` an object type."""
    if kind.startswith("["):
        return {"type": "array", "items": _type(kind[1:])}
    if kind.startswith("{"):
        return {"type": "object", "additionalProperties": _type(kind[1:])}
    if kind.startswith("#"):
        return {"$ref": f"#/types/{_token(kind[1:])}"}
    return _KINDS.get(kind, {"type": kind.partition(":")[0]})


def _token(name: str) -> str:
    """`lambda_/Name` -> `aws:lambda/Name:Name`."""
    module, _, rest = name.partition("/")
    return f"aws:{module.rstrip('_')}/{rest}:{rest}"
