"""What a resource type is, declared: its properties, and the four or five calls that make and keep it.

A service file holds one `Resource` a type. The engine in `lifecycle` does the rest, the same way for every type:
checking against the SDK's schema, defaults and names, the diff, previews, tags, waiting, and reading back.

Functions of a `Resource` take a `Scope` (clients of the right region, waiting) and plain dicts:

- `create(s, p)` makes it from checked inputs `p` (tags merged with the provider's defaults) and returns what identifies
  it beyond `p`, such as `{"keyId": ...}`;
- `settle(s, k, p)` then waits and sets what creation cannot set; a failure from here on keeps the resource in the
  state, unless the type `settles_first`;
- `read(s, k)` returns the live inputs and outputs, or None when it is gone; `k` holds the identity, and all that the
  state knows when there is a state;
- `update(s, k, p, change)` applies the top-level properties in `change`;
- `delete(s, k)` removes it and waits; "not there" counts as success.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from localcloud.awsplugin.schema import schema
from localcloud.awsplugin.wire import Props

if TYPE_CHECKING:
    from localcloud.awsplugin.cloud import Scope


FAILED = "__failed"
"""Member of a state: why the resource can only be replaced. A `read` puts it there."""


@dataclass(frozen=True)
class Prop:
    """How one input behaves."""

    replace: bool = False
    """A change makes a new resource."""
    replace_on: tuple[str, ...] = ()
    """Members of the object that make a new resource when they appear or disappear."""
    default: Any = None
    """What absence means; also what the cloud then reports."""
    computed: bool = False
    """Absence means whatever the cloud chose, so a live value is no change."""
    json: bool = False
    """The value is a JSON document and is compared by meaning."""
    unordered: bool = False
    """The list is a set."""
    local: bool = False
    """The cloud does not hold it: it lives in the state, and steers deletion and the like."""
    one_of: tuple[Any, ...] = ()
    """The values that are allowed."""
    inner: Mapping[str, Any] = field(default_factory=dict)
    """Defaults of members of the object (or of each object of the list); `...` means chosen by the cloud."""
    without: tuple[str, ...] = ()
    """Members of the object, by dotted path, that are not served."""
    same: Callable[[Any, Any], bool] | None = None
    """Further equality of a wanted and a live value, such as a count as number and as text."""


@dataclass(frozen=True)
class Name:
    """How a resource that was given no name gets one: `<resource name>-<7 hex>`."""

    prop: str = "name"
    limit: int = 255
    lower: bool = False
    prefix: str | None = None
    """The input that gives a prefix instead."""


class Tags(Protocol):
    """How a type's tags are read and written."""

    def read(self, client: Any, known: Props) -> dict[str, str]:
        """All tags of the resource."""
        ...

    def write(self, client: Any, known: Props, wanted: Mapping[str, str]) -> None:
        """Make the tags exactly `wanted`; AWS's own (`aws:...`) stay."""
        ...

    def pack(self, tags: Mapping[str, str]) -> Any:
        """Tags as the service's create request takes them."""
        ...


@dataclass(frozen=True)
class TagApi:
    """Tags of a service with a call each to list, add and remove.

    `key` is the request member that names the resource, `at` the property that fills it. `pair` are the members of one
    tag, or None where tags are a map. `answer` is the member of the list answer, when not called as in requests.
    """

    get: str
    put: str
    drop: str
    key: str
    at: str = "arn"
    tags: str = "Tags"
    names: str = "TagKeys"
    pair: tuple[str, str] | None = ("Key", "Value")
    answer: str = ""

    def read(self, client: Any, known: Props) -> dict[str, str]:
        """All tags of the resource."""
        found = getattr(client, self.get)(**{self.key: known[self.at]}).get(self.answer or self.tags) or {}
        if self.pair is None:
            return dict(found)
        key, value = self.pair
        return {tag[key]: tag[value] for tag in found}

    def write(self, client: Any, known: Props, wanted: Mapping[str, str]) -> None:
        """Make the tags exactly `wanted`; AWS's own (`aws:...`) stay."""
        target = {self.key: known[self.at]}
        live = self.read(client, known)
        stale = [k for k in live if k not in wanted and not k.startswith("aws:")]
        fresh = {k: v for k, v in wanted.items() if live.get(k) != v}
        if stale:
            getattr(client, self.drop)(**target, **{self.names: stale})
        if fresh:
            getattr(client, self.put)(**target, **{self.tags: self.pack(fresh)})

    def pack(self, tags: Mapping[str, str]) -> Any:
        """Tags as this service's requests take them."""
        if self.pair is None:
            return dict(tags)
        key, value = self.pair
        return [{key: k, value: v} for k, v in sorted(tags.items())]


@dataclass(frozen=True)
class Change:
    """The top-level properties that an update changes, and the state before it."""

    keys: frozenset[str]
    old: Props

    def any(self, *names: str) -> bool:
        """Whether one of these properties changes."""
        return not self.keys.isdisjoint(names)


Create = Callable[["Scope", Props], Mapping[str, Any] | None]
Settle = Callable[["Scope", Props, Props], None]
Read = Callable[["Scope", Props], Mapping[str, Any] | None]
Update = Callable[["Scope", Props, Props, Change], object]
Delete = Callable[["Scope", Props], object]
Failures = list[tuple[str, str]]


@dataclass(frozen=True)
class Resource:
    """One resource type, as the module's text tells."""

    type: str
    props: Mapping[str, Prop]
    ident: str | Callable[[Props], str]
    create: Create
    read: Read
    delete: Delete
    update: Update | None = None
    settle: Settle | None = None
    settles_first: bool = False
    """Whether the genuine provider keeps a new resource only once it has settled: one that fails to is in no state."""
    outputs: tuple[str, ...] = ()
    name: Name | None = None
    identity: tuple[str, ...] = ()
    """Inputs that name the resource besides `name`: with these unchanged a replacement must delete first."""
    parse: Callable[[str], Props] | None = None
    """The identity out of an id as `pulumi import` takes it; by default the id is the property `ident`."""
    tags: Tags | None = None
    required: tuple[str, ...] = ()
    """Inputs that the cloud needs although the SDK lets them be absent."""
    check: Callable[[Props], Failures] | None = None
    """Rules over several properties: pairs of property path and reason."""
    moves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Outputs that an update of a property changes, so a preview cannot know them."""
    region: bool = True
    """Whether it lives in a region (IAM does not)."""

    @property
    def supported(self) -> dict[str, Prop]:
        """Every input that is served, those that all types share included."""
        shared = {"region": Prop(replace=True, computed=True)} if self.region else {}
        tags = {"tags": Prop(default={})} if self.tags else {}
        return {**self.props, **tags, **shared}

    @property
    def names(self) -> tuple[str, ...]:
        """The inputs that identify it."""
        return ((self.name.prop,) if self.name else ()) + self.identity

    def identify(self, known: Props) -> str:
        """The id of a resource from its properties."""
        return known[self.ident] if isinstance(self.ident, str) else self.ident(known)

    def locate(self, ident: str) -> Props:
        """The identity properties from an id."""
        if self.parse is not None:
            return self.parse(ident)
        return {self.ident: ident} if isinstance(self.ident, str) else {}


class Names:
    """Translates between the SDK's property names and a service's member names.

    A member is called like the property with a capital first letter, unless `renames` says otherwise, by the
    property's dotted path or by its last name alone. A rename that ends with `*` says that the SDK has a list of at
    most one where the service has the object itself. Only objects are translated: the keys of maps are the user's.
    """

    def __init__(self, token: str, renames: Mapping[str, str] | None = None, *, lower: bool = False) -> None:
        self.token = token
        self.renames = renames or {}
        self.lower = lower

    def request(self, props: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """The named properties, those that are set, as members of a request."""
        given = {n: props[n] for n in names if props.get(n) is not None}
        return self._members_down(schema().inputs(self.token), given, "")

    def state(self, live: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """The named properties out of the members of an answer; absent ones are left out."""
        kinds = schema().inputs(self.token)
        return self._members_up({n: kinds[n] for n in names}, live, "")

    def member(self, name: str) -> str:
        """The service's name of a top-level property."""
        return self._api(name)[0]

    def _api(self, path: str) -> tuple[str, bool]:
        last = path.rpartition(".")[2]
        found = self.renames.get(path) or self.renames.get(last)
        name = found or (last if self.lower else last[0].upper() + last[1:])
        return name.removesuffix("*"), name.endswith("*")

    def _members_down(self, kinds: Mapping[str, str], given: Mapping[str, Any], start: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in given.items():
            api, single = self._api(start + name)
            down = self._down(kinds[name], value, start + name)
            if not single:
                found[api] = down
            elif down:
                found[api] = down[0]
        return found

    def _members_up(self, kinds: Mapping[str, str], live: Mapping[str, Any], start: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, kind in kinds.items():
            api, single = self._api(start + name)
            if live.get(api) is not None:
                found[name] = self._up(kind, [live[api]] if single else live[api], start + name)
        return found

    def _down(self, kind: str, value: Any, path: str) -> Any:
        if kind.startswith("["):
            return [self._down(kind[1:], item, path) for item in value]
        if kind.startswith("#"):
            return self._members_down(schema().nested(kind), value, f"{path}.")
        return value

    def _up(self, kind: str, value: Any, path: str) -> Any:
        if kind.startswith("["):
            return [self._up(kind[1:], item, path) for item in value]
        if kind.startswith("#"):
            return self._members_up(schema().nested(kind), value, f"{path}.")
        return value
