"""What an update would change: the wanted inputs against the state."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.awsplugin.spec import FAILED, Prop, Resource
from localcloud.awsplugin.values import comparable, equal
from localcloud.awsplugin.wire import Props, Unknown, has_unknown


@dataclass(frozen=True)
class Difference:
    """One changed path, such as `productionVariants[0].instanceType`."""

    path: str
    kind: str  # add, delete or update
    replace: bool

    @property
    def prop(self) -> str:
        """The top-level property."""
        return re.split(r"[.\[]", self.path, maxsplit=1)[0]


def compare(
    spec: Resource,
    state: Props,
    wanted: Props,
    default_tags: Mapping[str, str],
    ignore: Iterable[str] = (),
) -> list[Difference]:
    """Every difference between wanted inputs and the state, apart from those below the paths to ignore."""
    found: list[Difference] = []
    for name, prop in spec.supported.items():
        new, old = wanted.get(name), state.get(name)
        if name == "tags":
            new, old = merged(default_tags, new), state.get("tagsAll", old)
        if new is None and prop.computed:
            continue
        if not equal(prop, new, old):
            found.extend(_differences(name, prop, new, old))
    if state.get(FAILED):
        anchor = next(name for name in spec.props if name not in spec.names)
        found.append(Difference(anchor, "update", replace=True))
    ignored = [_segments(path) for path in ignore]
    return [d for d in found if not any(_below(_segments(d.path), path) for path in ignored)]


def merged(default_tags: Mapping[str, str], own: Any) -> Any:
    """A resource's own tags over the provider's; unknown when they are."""
    return own if isinstance(own, Unknown) else {**default_tags, **(own or {})}


def delete_first(spec: Resource, differences: list[Difference], wanted: Props) -> bool:
    """Whether a replacement must delete the old resource first: both would have the same name."""
    automatic = spec.name is not None and spec.name.prop in wanted.get("__defaults", [])
    if automatic or not spec.names or not any(d.replace for d in differences):
        return False
    return not any(d.prop in spec.names for d in differences)


def _differences(name: str, prop: Prop, new: Any, old: Any) -> Iterable[Difference]:
    left, right = comparable(prop, new, old)
    replace = prop.replace or any((m in (left or {})) != (m in (right or {})) for m in prop.replace_on)
    if prop.json or prop.unordered or not isinstance(left, (dict, list)) or not isinstance(right, type(left)):
        yield Difference(name, _kind(new, old), replace)
        return
    for path, kind in _leaves(name, left, right):
        yield Difference(path, kind, replace)


def _leaves(path: str, new: Any, old: Any) -> Iterable[tuple[str, str]]:
    if isinstance(new, dict) and isinstance(old, dict):
        for key in sorted(new.keys() | old.keys()):
            inner = f"{path}.{key}" if re.fullmatch(r"\w+", key) else f'{path}["{key}"]'
            yield from _leaves(inner, new.get(key), old.get(key))
    elif isinstance(new, list) and isinstance(old, list) and not has_unknown(new) and len(new) == len(old):
        for index, (left, right) in enumerate(zip(new, old, strict=True)):
            yield from _leaves(f"{path}[{index}]", left, right)
    elif new != old:
        yield path, _kind(new, old)


def _kind(new: Any, old: Any) -> str:
    if old is None:
        return "add"
    return "delete" if new is None else "update"


def _segments(path: str) -> list[str]:
    return [quoted or plain for quoted, plain in re.findall(r'\["([^"]*)"\]|([^.\[\]"]+)', path)]


def _below(path: list[str], start: list[str]) -> bool:
    return len(path) >= len(start) and all(w in {g, "*"} for g, w in zip(path, start, strict=False))
