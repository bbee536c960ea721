"""Convert Pulumi's properties of an AWS resource to Terraform's attributes, by the genuine provider's schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Block = Mapping[str, Any]
"""A block's schema, as terraform-plugin-go has it."""

_SINGLE = 1
_RENAMED = {
    "aws_cloudwatch_metric_alarm": {"name": "alarm_name"},
    "aws_lambda_function": {"name": "function_name", "code": "filename"},
    "aws_lambda_permission": {"function": "function_name"},
    "aws_sns_topic_subscription": {"topic": "topic_arn"},
}
"""Properties that Pulumi's provider calls otherwise."""


def kind_of(token: str) -> str:
    """The type in Terraform, such as `aws_s3_bucket` of `aws:s3/bucket:Bucket`."""
    module, name = token.split(":")[1].split("/")
    return f"aws_{module}_{snake(name)}"


def convert(kind: str, block: Block, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a resource's properties.

    Raises:
        KeyError: The schema has no such attribute.
    """
    names = _RENAMED.get(kind, {})
    return _block(block, {names.get(name, name): value for name, value in properties.items() if value is not None})


def snake(name: str) -> str:
    """A name as Terraform writes it: `endpoint_config_name` of `endpointConfigName`."""
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()


def differences(ours: Any, genuine: Any, path: str = "") -> Iterator[str]:
    """Each path at which two states differ. A list's order does not matter.

    As to Terraform's SDK, an absent value is the same as its type's zero value: false, 0, or empty.
    """
    ours, genuine = _plain(ours), _plain(genuine)
    if isinstance(ours, dict) and isinstance(genuine, dict):
        for name in sorted(ours.keys() | genuine.keys()):
            yield from differences(ours.get(name), genuine.get(name), f"{path}.{name}" if path else name)
    elif isinstance(ours, list) and isinstance(genuine, list) and len(ours) == len(genuine):
        for index, (one, other) in enumerate(zip(ours, genuine, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif ours != genuine:
        yield f"{path}: {ours!r}, and genuinely {genuine!r}"


def _block(block: Block, properties: Mapping[str, Any]) -> dict[str, Any]:
    attributes = {item["Name"]: item["Type"] for item in block["Attributes"] or ()}
    blocks = {item["TypeName"]: item for item in block["BlockTypes"] or ()}
    found: dict[str, Any] = {name: None if item["Nesting"] == _SINGLE else [] for name, item in blocks.items()}
    for key, value in properties.items():
        name = _find(key, {*attributes, *blocks})
        if name in attributes:
            found[name] = _attribute(attributes[name], value)
        elif blocks[name]["Nesting"] == _SINGLE:
            found[name] = _block(blocks[name]["Block"], value)
        else:
            found[name] = [_block(blocks[name]["Block"], item) for item in _listed(value)]
    return found


def _attribute(kind: Any, value: Any) -> Any:
    if kind == "string":
        return _text(value)
    if isinstance(kind, str):
        return value
    outer, inner = kind
    if outer == "object":
        found = {_find(key, inner): item for key, item in value.items()}
        return {name: _attribute(inner[name], item) for name, item in found.items()}
    if outer == "map":
        return {key: _attribute(inner, item) for key, item in value.items()}
    return [_attribute(inner, item) for item in _listed(value)]


def _find(key: str, names: Any) -> str:
    plural = snake(key)
    tried = (plural, plural.removesuffix("s"), plural.removesuffix("es"), f"{plural.removesuffix('ies')}y")
    for name in tried:
        if name in names:
            return name
    raise KeyError(f"{key}: the genuine provider has none of {', '.join(tried)}")


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, sort_keys=True)


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    """A value in the one form that is equal for equal meaning."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except ValueError:
            return value
    if isinstance(value, Mapping):
        found = {key: _plain(item) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not None} or None
    if isinstance(value, list):
        items = [item for item in map(_plain, value) if item is not None]
        return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) or None
    return value or None
