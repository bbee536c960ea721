"""Checking inputs against the SDK's schema, and filling in what the plugin decides: names and JSON forms."""

from __future__ import annotations

import difflib
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.awsplugin.schema import schema
from localcloud.awsplugin.spec import Name, Resource
from localcloud.awsplugin.values import canonical_json
from localcloud.awsplugin.wire import UNKNOWN, Archive, Asset, Props, has_unknown

_KINDS = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "asset": (Asset, Archive),
    "json": (str, dict),
}


@dataclass(frozen=True)
class Naming:
    """The engine's wish about automatic names: mode `propose`, `enforce` or `disable`."""

    mode: str
    proposed: str


@dataclass(frozen=True)
class Checked:
    """Inputs ready for the other calls, or pairs of property path and reason."""

    inputs: Props
    failures: list[tuple[str, str]]


def check(
    spec: Resource, resource: str, old: Props, wanted: Props, *, seed: bytes = b"", naming: Naming | None = None
) -> Checked:
    """Check one resource's inputs. Unknown values pass every rule that would need to see them."""
    inputs = {k: v for k, v in wanted.items() if not k.startswith("__") and v is not None}
    failures = list(_against_schema(spec, inputs))
    if not failures:
        failures = list(_json_forms(spec, inputs)) + list(_values(spec, inputs))
    if not failures and spec.name is not None and spec.name.prop not in inputs:
        failures.extend(_auto_name(spec.name, resource, old, inputs, seed=seed, naming=naming))
    missing = {*schema().required(spec.type), *spec.required} - inputs.keys()
    failures.extend(
        (name, f"{spec.type} needs {name!r} ({describe(schema().inputs(spec.type)[name])})") for name in sorted(missing)
    )
    if not failures and spec.check is not None:
        failures.extend(spec.check(inputs))
    return Checked(inputs, failures)


def describe(kind: str) -> str:
    """A schema type in words."""
    if kind.startswith("["):
        return f"a list, each {describe(kind[1:])}"
    if kind.startswith("{"):
        return f"a map, each {describe(kind[1:])}"
    if kind.startswith("#"):
        return "an object"
    plain = {"asset": "an archive or asset", "json": "a JSON text", "integer": "an integer", "any": "any value"}
    return plain.get(kind, f"a {kind.partition(':')[0]}")


def _against_schema(spec: Resource, inputs: Props) -> Iterable[tuple[str, str]]:
    known, supported = schema().inputs(spec.type), spec.supported
    for name, value in inputs.items():
        if name not in known:
            yield name, f"{spec.type} has no property {name!r}; {_suggest(name, supported)}"
        elif name not in supported:
            yield (
                name,
                f"the local AWS plugin does not support {name!r} of {spec.type}; "
                f"it supports {', '.join(sorted(supported))}",
            )
        else:
            yield from _typed(name, known[name], value, spec.type)
            for path in supported[name].without:
                if _reaches(value, path.split(".")):
                    yield f"{name}.{path}", f"the local AWS plugin does not support {f'{name}.{path}'!r} of {spec.type}"


def _reaches(value: Any, path: list[str]) -> bool:
    if isinstance(value, list):
        return any(_reaches(item, path) for item in value)
    if not isinstance(value, dict) or path[0] not in value:
        return False
    return len(path) == 1 or _reaches(value[path[0]], path[1:])


def _suggest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(sorted(known))}"


def _typed(path: str, kind: str, value: Any, owner: str) -> Iterable[tuple[str, str]]:
    if value is UNKNOWN or kind == "any":
        return
    if kind.startswith("[") and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _typed(f"{path}[{index}]", kind[1:], item, owner)
    elif kind.startswith("{") and isinstance(value, dict):
        for key, item in value.items():
            yield from _typed(f"{path}.{key}", kind[1:], item, owner)
    elif kind.startswith("#") and isinstance(value, dict):
        yield from _object(path, kind, value, owner)
    else:
        allowed = _KINDS.get(kind.partition(":")[0], ())
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "boolean"):
            yield path, f"{owner}: expected {describe(kind)}, got {_show(value)}"
        elif kind.startswith("string:"):
            yield from _one_of(path, value, schema().enums[kind.partition(":")[2]], owner)


def _object(path: str, kind: str, value: Mapping[str, Any], owner: str) -> Iterable[tuple[str, str]]:
    known = schema().nested(kind)
    for name, item in value.items():
        if name not in known:
            yield f"{path}.{name}", f"{owner}: {path!r} has no property {name!r}; {_suggest(name, known)}"
        else:
            yield from _typed(f"{path}.{name}", known[name], item, owner)
    for name in schema().required(kind):
        if value.get(name) is None:
            yield f"{path}.{name}", f"{owner}: {path!r} needs {name!r} ({describe(known[name])})"


def _values(spec: Resource, inputs: Props) -> Iterable[tuple[str, str]]:
    for name, prop in spec.supported.items():
        value = inputs.get(name)
        if prop.one_of and value is not None and not has_unknown(value):
            for item in value if isinstance(value, list) else [value]:
                yield from _one_of(name, item, prop.one_of, spec.type)


def _one_of(path: str, value: Any, allowed: Iterable[Any], owner: str) -> Iterable[tuple[str, str]]:
    if value not in allowed:
        close = difflib.get_close_matches(str(value), [str(a) for a in allowed], n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        yield path, f"{owner}: {_show(value)} is not one of {', '.join(str(a) for a in allowed)}{hint}"


def _json_forms(spec: Resource, inputs: Props) -> Iterable[tuple[str, str]]:
    """Write JSON inputs in one form, so that spelling never shows as a change."""
    for name, prop in spec.supported.items():
        value = inputs.get(name)
        if not prop.json or value is None or has_unknown(value):
            continue
        try:
            inputs[name] = canonical_json(json.loads(value) if isinstance(value, str) else value)
        except ValueError as error:
            yield name, f"{spec.type}: {name!r} is not valid JSON: {error}"


def _auto_name(
    name: Name, resource: str, old: Props, inputs: Props, *, seed: bytes, naming: Naming | None
) -> Iterable[tuple[str, str]]:
    """Name a resource that was given no name, as it is named already if that was automatic too."""
    was_automatic = name.prop in old.get("__defaults", [])
    prefix = inputs.get(name.prefix) if name.prefix else None
    if was_automatic and old.get(name.prop) and (old.get(name.prefix) if name.prefix else None) == prefix:
        chosen = old[name.prop]
    elif prefix is not None:
        chosen = UNKNOWN if prefix is UNKNOWN else _compose(name, prefix, seed, joint="")
    elif naming and naming.mode == "disable":
        yield name.prop, f"automatic naming is disabled: set {name.prop!r}"
        return
    elif naming and naming.proposed:
        chosen = naming.proposed
    else:
        chosen = _compose(name, resource, seed, joint="-")
    inputs[name.prop] = chosen
    inputs["__defaults"] = [name.prop]


def _compose(name: Name, start: str, seed: bytes, joint: str) -> str:
    random = hashlib.sha256(seed or secrets.token_bytes(32)).hexdigest()[:7]
    end = f"{joint}{random}"
    text = f"{start[: name.limit - len(end)]}{end}"
    return text.lower() if name.lower else text


def _show(value: Any) -> str:
    text = json.dumps(value, default=repr)
    kind = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list", dict: "object"}
    return f"{kind.get(type(value), type(value).__name__.lower())} {text if len(text) < 60 else text[:57] + '...'}"
