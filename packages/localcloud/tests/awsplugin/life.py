"""The life that every resource type is led through; see `live_through` in conftest.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

World = Any
State = dict[str, Any]


@dataclass
class Case:
    """A type's life.

    Attributes:
        token: The type.
        inputs: What it is created with, as much as a production program would set.
        ident: The id that the provider's documentation gives, from the outputs.
        imported: The id that `pulumi import` takes, where it differs.
        drift: Changes it behind the plugin's back.
        drifted: The paths that a refresh then shows; None where the service lets nothing be changed.
        change: Inputs that are then changed in place; None removes one.
        replace: Inputs whose change needs a new resource.
        first: Whether that replacement must delete first.
        unread: Inputs that an import cannot know.
        remains: The service keeps such a thing on every bucket.
    """

    token: str
    inputs: Callable[[World], State]
    ident: Callable[[State], str]
    imported: Callable[[State], str] | None = None
    drift: Callable[[World, State], Any] | None = None
    drifted: set[str] = field(default_factory=set)
    change: Callable[[World], State] = lambda _: {}
    replace: Callable[[World], State] = lambda _: {}
    first: bool = False
    unread: set[str] = field(default_factory=set)
    remains: bool = False


def live(world: World, plugin: Any, case: Case) -> None:
    """Create, keep, import, change behind the plugin's back, repair, change, replace, delete."""
    made = plugin.create(case.token, case.inputs(world), world.name("it"))
    world.made.append(made)
    assert made.ident == case.ident(made.state)
    assert plugin.changes(made) == set(), "a second update changes nothing"
    assert plugin.refresh(made) == made, "a refresh changes nothing"

    _is_imported(plugin, case, made)
    if case.drift is not None:
        made = _drift_is_seen_and_repaired(world, plugin, case, made)
    if changes := case.change(world):
        made = _is_changed_in_place(plugin, made, changes)
    found = plugin.diff(made, plugin.wanted(made, case.replace(world)))
    assert set(found.replaces) & case.replace(world).keys(), "needs a new resource"
    assert found.deleteBeforeReplace == case.first

    plugin.delete(made)
    assert case.remains or plugin.refresh(made) is None, "a refresh says that it is gone"
    plugin.delete(made)


def _is_imported(plugin: Any, case: Case, made: Any) -> None:
    adopted = plugin.adopt(case.token, (case.imported or case.ident)(made.state))
    assert adopted.ident == made.ident
    missing = {k for k in made.inputs if k not in adopted.inputs and not k.startswith("__")}
    assert missing == case.unread
    assert plugin.changes(adopted, {**adopted.inputs}) == set(), "an import describes what is there"
    ours = {k: v for k, v in made.inputs.items() if k not in case.unread}
    assert not plugin.changes(adopted, ours) - case.unread, "as does the program that made it"


def _drift_is_seen_and_repaired(world: World, plugin: Any, case: Case, made: Any) -> Any:
    assert case.drift is not None
    case.drift(world, made.state)
    seen = plugin.refresh(made)
    assert plugin.changes(seen, made.inputs) == case.drifted
    repaired = plugin.update(seen, made.inputs)
    assert plugin.changes(repaired) == set()
    assert plugin.refresh(repaired) == repaired
    return repaired


def _is_changed_in_place(plugin: Any, made: Any, changes: dict[str, Any]) -> Any:
    wanted = plugin.wanted(made, changes)
    found = plugin.diff(made, wanted)
    assert not found.replaces
    assert {d.split(".")[0].split("[")[0] for d in found.detailedDiff} == changes.keys() - _already(made, changes)
    changed = plugin.update(made, wanted)
    assert plugin.changes(changed) == set(), "the cloud took every change"
    assert plugin.refresh(changed) == changed
    return changed


def _already(made: Any, changes: dict[str, Any]) -> set[str]:
    """Changes that say what is so already."""
    return {k for k, v in changes.items() if made.state.get(k) == v}
