"""When two values of a property mean the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from localcloud.awsplugin.spec import Prop
from localcloud.awsplugin.wire import UNKNOWN, Archive, Asset

# Members of a policy document that may be one text or a list of one.
_ONE_OR_MANY = {"Action", "NotAction", "Resource", "NotResource", "AWS", "Service", "Federated", "CanonicalUser"}


def canonical_json(document: Any) -> str:
    """A JSON document, or its text, in the one form that is kept: sorted members, no spaces."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return document
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def same_meaning(document: Any) -> Any:
    """A JSON document in a form that is equal for equal meaning, in IAM's language too."""
    if isinstance(document, dict):
        found = {k: same_meaning(v) for k, v in document.items()}
        for name in _ONE_OR_MANY & found.keys():
            value = found[name]
            many = value if isinstance(value, list) else [value]
            found[name] = sorted(many, key=str)
        if "Statement" in found and isinstance(found["Statement"], dict):
            found["Statement"] = [found["Statement"]]
        return found
    if isinstance(document, list):
        return [same_meaning(item) for item in document]
    return document


def equal(prop: Prop, wanted: Any, live: Any) -> bool:
    """Whether a wanted value and a live value of a property mean the same; unknown equals nothing."""
    left, right = comparable(prop, wanted, live)
    if left == right:
        return True
    if left is UNKNOWN or right is UNKNOWN or left is None or right is None:
        return False
    return prop.same is not None and prop.same(left, right)


def comparable(prop: Prop, wanted: Any, live: Any) -> tuple[Any, Any]:
    """Both values in the one form that is equal for equal meaning; members that the cloud chooses are taken over."""
    left, right = _canonical(prop, wanted), _canonical(prop, live)
    for name, default in prop.inner.items():
        if default is ...:
            left = _borrow(left, right, name)
    return left, right


def _canonical(prop: Prop, value: Any) -> Any:
    value = _tidy(value)
    if value is None:
        value = _tidy(prop.default)
    if prop.json and isinstance(value, str):
        try:
            return same_meaning(json.loads(value)) or None
        except ValueError:
            return value
    if isinstance(value, (Archive, Asset)) and value.hash:
        return value.hash
    if prop.inner:
        value = _filled(value, prop.inner)
    if prop.unordered and isinstance(value, list):
        return sorted(value, key=lambda item: json.dumps(item, sort_keys=True, default=str))
    return value


def _tidy(value: Any) -> Any:
    """Without members that are absent or empty, at any depth; an empty object or list is None."""
    if isinstance(value, Mapping):
        found = {k: _tidy(v) for k, v in value.items()}
        return {k: v for k, v in found.items() if v is not None} or None
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value] or None
    return value


def _filled(value: Any, inner: Mapping[str, Any]) -> Any:
    """An object, or each object of a list, with its members' defaults; dotted names reach deeper."""
    if isinstance(value, list):
        return [_filled(item, inner) for item in value]
    if not isinstance(value, dict):
        return value
    found = dict(value)
    for name, default in inner.items():
        first, _, rest = name.partition(".")
        if rest and first in found:
            found[first] = _filled(found[first], {rest: default})
        elif not rest and default is not ... and first not in found:
            found[first] = default
    return found


def _borrow(wanted: Any, live: Any, name: str) -> Any:
    if isinstance(wanted, list) and isinstance(live, list) and len(wanted) == len(live):
        return [_borrow(w, v, name) for w, v in zip(wanted, live, strict=True)]
    if not isinstance(wanted, dict) or not isinstance(live, dict):
        return wanted
    first, _, rest = name.partition(".")
    if rest and first in wanted and first in live:
        return {**wanted, first: _borrow(wanted[first], live[first], rest)}
    if not rest and first not in wanted and first in live:
        return {**wanted, first: live[first]}
    return wanted
