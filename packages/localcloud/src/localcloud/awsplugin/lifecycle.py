"""The generic engine: what happens to a resource of any type, from its specification."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from localcloud.awsplugin import services
from localcloud.awsplugin.check import Checked, Naming, check
from localcloud.awsplugin.cloud import Cloud, Scope, Settings
from localcloud.awsplugin.diff import Difference, compare, delete_first, merged
from localcloud.awsplugin.failures import Failure, InvalidError, PartialError, explain, is_conflict, is_missing
from localcloud.awsplugin.spec import FAILED, Change, Resource
from localcloud.awsplugin.unfinished import Unfinished
from localcloud.awsplugin.values import canonical_json, equal
from localcloud.awsplugin.wire import UNKNOWN, Props


@dataclass(frozen=True)
class Found:
    """A resource as it is: its id, outputs and the inputs that would make it so."""

    ident: str
    state: Props
    inputs: Props


class Lifecycle:
    """Check, diff, create, read, update and delete over one configured cloud. Safe to call from many threads."""

    def __init__(self, settings: Settings, unfinished: Unfinished) -> None:
        self.settings = settings
        self.unfinished = unfinished
        self.cloud = Cloud(settings)

    def check(self, token: str, name: str, old: Props, new: Props, *, seed: bytes, naming: Naming | None) -> Checked:
        """Inputs with defaults and names, or failures."""
        return check(served(token), name, old, new, seed=seed, naming=naming)

    def diff(self, token: str, state: Props, new: Props, ignore: Iterable[str]) -> tuple[list[Difference], bool]:
        """The differences, and whether a replacement must delete first."""
        spec = served(token)
        differences = compare(spec, state, new, self.settings.default_tags, ignore)
        return differences, delete_first(spec, differences, new)

    def create(self, token: str, urn: str, inputs: Props, timeout: float, *, preview: bool) -> Found:
        """Make it and wait until it is usable.

        Raises:
            PartialError: It was made, but is not usable.
            Failure: It was not made, or is of a type that is kept only once it is usable.
        """
        spec = served(token)
        if preview:
            return Found("", self._foreseen(spec, {}, inputs, frozenset()), inputs)
        scope = self._scope(spec, inputs, timeout)
        wanted = self._with_tags(spec, inputs)
        again = self.unfinished.begin(self.settings.endpoint, urn)
        try:
            known, change = self._made(spec, scope, wanted, inputs, again=again)
        except Exception as error:
            if not again:
                self.unfinished.drop(self.settings.endpoint, urn)
            raise explain(error, self.settings.endpoint) from error
        kept = not spec.settles_first
        try:
            if spec.settle is not None:
                spec.settle(scope, known, wanted)
            kept = True
            if change.keys:
                self._apply(spec, scope, known, wanted, change)
            state = self._live(spec, scope, {**known, **inputs}, inputs)
            if state is None:
                raise Failure(f"{token} was created but is not there when read back")
        except Exception as error:
            if not kept:
                self.unfinished.drop(self.settings.endpoint, urn)
                raise explain(error, self.settings.endpoint) from error
            raise self._partial(spec, scope, known, inputs, error) from error
        return Found(spec.identify({**known, **state}), state, inputs)

    def _made(self, spec: Resource, scope: Scope, wanted: Props, inputs: Props, *, again: bool) -> tuple[Props, Change]:
        """What is known of the new resource, and what of it is still to be changed.

        `again` says that an earlier creation was cut off. When the name is taken then, it is taken by what that one
        made: it is taken over, or makes way when it cannot become what is wanted now.
        """
        try:
            return {**wanted, **(spec.create(scope, wanted) or {})}, Change(frozenset(), {})
        except Exception as error:
            live = self._live(spec, scope, wanted, inputs) if again and is_conflict(error) else None
            if live is None:
                raise
        differences = compare(spec, live, inputs, self.settings.default_tags)
        if any(d.replace for d in differences):
            spec.delete(scope, {**wanted, **live})
            return {**wanted, **(spec.create(scope, wanted) or {})}, Change(frozenset(), {})
        return {**wanted, **live}, Change(frozenset(d.prop for d in differences), live)

    def read(self, token: str, ident: str, state: Props, inputs: Props) -> Found | None:
        """The resource as it is now; None when it is gone. Without a state (an import) the id says where it is."""
        spec = served(token)
        known = _known(spec, ident, state)
        scope = self._scope(spec, known, 0)
        try:
            live = self._live(spec, scope, known, inputs or state)
        except Exception as error:
            raise explain(error, self.settings.endpoint) from error
        if live is None:
            return None
        imported = not inputs and not state
        return Found(spec.identify({**known, **live}), live, _inputs_of(spec, inputs, live, imported=imported))

    def update(
        self, token: str, ident: str, state: Props, new: Props, *, ignore: Iterable[str], timeout: float, preview: bool
    ) -> Props:
        """Apply what changed, wait, and return the outputs as read back.

        Raises:
            PartialError: Some of it was applied.
            Failure: Nothing was applied, the state is as before.
        """
        spec = served(token)
        differences = compare(spec, state, new, self.settings.default_tags, ignore)
        keys = frozenset(d.prop for d in differences)
        if preview:
            return self._foreseen(spec, state, new, keys)
        known = _known(spec, ident, state)
        scope = self._scope(spec, known, timeout)
        wanted = self._with_tags(spec, new)
        try:
            self._apply(spec, scope, known, wanted, Change(keys, state))
            moved = {output for key in keys for output in spec.moves.get(key, ())}
            live = self._live(spec, scope, {**{k: v for k, v in known.items() if k not in moved}, **new}, new)
            if live is None:
                raise Failure(f"{token} {ident!r} is gone; run `pulumi refresh`")
        except Exception as error:
            raise self._rejected(spec, scope, state, new, error) from error
        return live

    def delete(self, token: str, ident: str, state: Props, timeout: float) -> None:
        """Remove it and wait; one that is gone already is fine."""
        spec = served(token)
        known = _known(spec, ident, state)
        if known.get("skipDestroy"):
            return
        try:
            spec.delete(self._scope(spec, known, timeout), known)
        except Exception as error:
            if not is_missing(error):
                raise explain(error, self.settings.endpoint) from error

    def _scope(self, spec: Resource, known: Props, timeout: float) -> Scope:
        region = known.get("region") if spec.region else None
        return Scope(self.cloud, region or self.settings.region, timeout)

    def _with_tags(self, spec: Resource, inputs: Props) -> Props:
        """Inputs with the provider's default tags merged in, when the type has tags."""
        if spec.tags is None:
            return inputs
        return {**inputs, "tags": merged(self.settings.default_tags, inputs.get("tags"))}

    def _apply(self, spec: Resource, scope: Scope, known: Props, wanted: Props, change: Change) -> None:
        cloud_side = {k for k in change.keys if k != "tags" and not spec.supported[k].local}
        if spec.update is not None and cloud_side:
            spec.update(scope, known, wanted, change)
        if spec.tags is not None and "tags" in change.keys:
            spec.tags.write(scope(service_of(spec)), known, wanted["tags"])
        if not change.keys and spec.settle is not None:  # the engine insists: creation had not been completed
            spec.settle(scope, known, wanted)

    def _live(self, spec: Resource, scope: Scope, known: Props, inputs: Props) -> Props | None:
        """Outputs as they are now, in the user's wording where it means the same; None when it is gone."""
        try:
            answer = spec.read(scope, known)
            if answer is None:
                return None
            live = {k: v for k, v in answer.items() if v is not None}
            if spec.tags is not None:
                live.update(self._tags(spec, scope, {**known, **live}, inputs))
        except Exception as error:
            if is_missing(error):
                return None
            raise
        live.update(_local(spec, inputs or known))
        if spec.region:
            live["region"] = scope.region
        for name, prop in spec.supported.items():
            if name in inputs and name in live and equal(prop, inputs[name], live[name]):
                live[name] = inputs[name]
            elif prop.json and name in live:
                live[name] = canonical_json(live[name])
        return live

    def _tags(self, spec: Resource, scope: Scope, known: Props, inputs: Props) -> Props:
        found = spec.tags.read(scope(service_of(spec)), known) if spec.tags else {}
        every = {k: v for k, v in found.items() if not k.startswith("aws:")}
        own, default = inputs.get("tags") or {}, self.settings.default_tags
        return {"tagsAll": every, "tags": {k: v for k, v in every.items() if k in own or default.get(k) != v}}

    def _foreseen(self, spec: Resource, state: Props, new: Props, changed: frozenset[str]) -> Props:
        """Outputs as a preview knows them: wanted inputs, what stays, and unknown for the rest."""
        found: Props = dict.fromkeys(spec.outputs, UNKNOWN)
        found.update({k: v for k, v in state.items() if k not in spec.supported and not k.startswith("__")})
        moved = {output for name in changed for output in spec.moves.get(name, ())}
        found.update(dict.fromkeys(moved, UNKNOWN))
        for name, prop in spec.supported.items():
            if name in new:
                found[name] = new[name]
            elif prop.computed and name in state and name not in moved:
                found[name] = state[name]
            elif prop.default is not None:
                found[name] = prop.default
        if spec.region:
            found.setdefault("region", self.settings.region)
        if spec.tags is not None:
            found["tagsAll"] = merged(self.settings.default_tags, new.get("tags"))
        return found

    def _partial(self, spec: Resource, scope: Scope, known: Props, inputs: Props, error: Exception) -> Failure:
        """The failure of a resource that was made but did not become usable, with its state."""
        failure = explain(error, self.settings.endpoint)
        try:
            state = self._live(spec, scope, known, inputs)
        except Exception:  # the first failure is the one to tell; what is known of the resource is kept
            state = {k: v for k, v in known.items() if k != "__defaults"}
        if state is None:
            return failure
        return PartialError(str(failure), spec.identify({**known, **state}), state)

    def _rejected(self, spec: Resource, scope: Scope, state: Props, new: Props, error: Exception) -> Failure:
        """The failure of an update. The state stays as it was, unless the cloud has moved."""
        failure = explain(error, self.settings.endpoint)
        try:
            live = self._live(spec, scope, state, {k: v for k, v in state.items() if k in spec.supported})
        except Exception:  # as above
            return failure
        moved = live is not None and (compare(spec, state, live, {}) or (FAILED in live and FAILED not in state))
        if live is None or not moved:
            return failure
        live.update(_local(spec, new))
        return PartialError(str(failure), spec.identify({**state, **live}), live)


def served(token: str) -> Resource:
    """The specification of a type.

    Raises:
        InvalidError: The type is not served.
    """
    spec = services.find(token)
    if spec is None:
        names = ", ".join(sorted(services.TYPES))
        raise InvalidError(f"the local AWS plugin does not serve {token}. It serves: {names}")
    return spec


def service_of(spec: Resource) -> str:
    """The botocore service of a type."""
    return services.SERVICE[services.TYPES[spec.type]]


def _known(spec: Resource, ident: str, state: Props) -> Props:
    """What the id says, and what the state says on top. An id may say too little when there is a state."""
    try:
        return {**spec.locate(ident), **state}
    except InvalidError:
        if state:
            return state
        raise


def _local(spec: Resource, source: Props) -> Props:
    """The properties that only the state holds."""
    found = {n: source.get(n, prop.default) for n, prop in spec.supported.items() if prop.local}
    return {k: v for k, v in found.items() if v is not None}


def _inputs_of(spec: Resource, inputs: Props, live: Props, *, imported: bool) -> Props:
    """Inputs that describe the live resource: the user's own where they still hold, and what strays from defaults."""
    found = {k: v for k, v in inputs.items() if k.startswith("__")}
    for name, prop in spec.supported.items():
        value = live.get(name)
        if name in inputs:
            if value is not None or equal(prop, inputs[name], None):
                found[name] = inputs[name] if equal(prop, inputs[name], value) else value
        elif value is None or equal(prop, None, value):
            continue
        elif not prop.computed or (imported and value and name != "region"):
            found[name] = value
    return found
