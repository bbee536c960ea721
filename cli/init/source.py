"""An estimator as Python source: its imports, and an expression that makes an equal one, not fitted.

    written = source(Pipeline([("scale", StandardScaler()), ("fit", Ridge(alpha=2.0))]))
    written.imports       # ["from sklearn.linear_model import Ridge", ...]
    written.expression    # 'Pipeline(steps=[("scale", StandardScaler()), ("fit", Ridge(alpha=2.0))])'

Only parameters that differ from their defaults are written.
"""

from __future__ import annotations

import inspect
import math
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

import numpy as np

WIDTH = 120
_BY_HAND = "write model/training.py by hand, with that code in a file of model/"


class Unwritable(Exception):
    """A part of an estimator cannot be written as source; the message names it, and says what to do instead."""


@dataclass(frozen=True)
class Source:
    """An estimator as source.

    Attributes:
        imports: Lines that import what the expression names, sorted.
        expression: What makes the estimator; over several lines if one is too short.
    """

    imports: list[str]
    expression: str


@dataclass(frozen=True)
class Part:
    """A piece of an expression: a text, or what stands between two brackets.

    Attributes:
        text: The whole text or, with `inside`, all to the opening bracket.
        inside: What stands between the brackets, separated by commas.
        close: The closing bracket.
    """

    text: str
    inside: tuple[Part, ...] = ()
    close: str = ""

    @property
    def flat(self) -> str:
        """The piece in one line."""
        return f"{self.text}{', '.join(one.flat for one in self.inside)}{self.close}"

    def laid_out(self, indent: int, used: int = 0) -> str:
        """The piece within 120 columns, one item a line where one line is too short.

        Args:
            indent: Columns before the line that it begins in.
            used: Columns of that line that are taken by other text.
        """
        if not self.inside or indent + used + len(self.flat) <= WIDTH:
            return self.flat
        deeper = " " * (indent + 4)
        lines = [f"{deeper}{one.laid_out(indent + 4, 1)},\n" for one in self.inside]
        return f"{self.text}\n{''.join(lines)}{' ' * indent}{self.close.removeprefix(',')}"


def source(estimator: Any, indent: int = 4, used: int = len("return ")) -> Source:
    """Write an estimator as source, and prove it: the source is run, and makes an equal one.

    Args:
        estimator: An estimator of an installed library; what it was fitted to is not looked at.
        indent: Columns before the line in which the expression begins.
        used: Columns of that line that are taken.

    Raises:
        Unwritable: A parameter cannot be written, such as a function of a person's own.
    """
    imports: dict[str, set[str]] = {}
    expression = _part(estimator, type(estimator).__name__, imports).laid_out(indent, used)
    written = Source(_lines(imports), expression)
    found: dict[str, Any] = {}
    exec("\n".join([*written.imports, f"made = {expression}"]), found)  # noqa: S102  it was just written here
    if not same(found["made"], estimator):
        raise Unwritable(f"{type(estimator).__name__}: as source it makes another estimator: {_BY_HAND}")
    return written


def literal(values: Any) -> Part:
    """A value of plain Python as source, such as a list of texts."""
    return _part(values, "", {})


def same(one: Any, other: Any) -> bool:
    """Whether two values are of the same types and, estimators by all their parameters, equal."""
    one, other = _plain(one), _plain(other)
    if type(one) is not type(other):
        return False
    match one:
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
        case np.ndarray():
            return bool(np.array_equal(one, other))
        case None | bool() | int() | float() | str() | bytes() | slice() | type() | FunctionType():
            return one == other or (_is_nan(one) and _is_nan(other))
        case _:
            mine = _parameters(one)
            return one is other if mine is None else same(mine, _parameters(other))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _lines(imports: Mapping[str, set[str]]) -> list[str]:
    lines = ["import numpy as np"] if "numpy" in imports else []
    for module in sorted(imports.keys() - {"numpy"}):
        names = sorted(imports[module], key=lambda name: (not name.isupper(), not name[0].isupper(), name))
        line = f"from {module} import {', '.join(names)}"
        wrapped = "".join(f"    {name},\n" for name in names)
        lines.append(line if len(line) <= WIDTH else f"from {module} import (\n{wrapped})")
    return lines


def _plain(value: Any) -> Any:
    return cast(Any, value).item() if isinstance(value, np.generic) else value


def _part(value: Any, where: str, imports: dict[str, set[str]]) -> Part:
    """A value as a piece of an expression; what it names is added to the imports."""
    value = _plain(value)
    match value:
        case list() | tuple() | dict() | slice():
            return _several(value, lambda one: _part(one, where, imports))
        case None | bool() | int() | float() | str() | bytes() if type(value).__module__ == "builtins":
            return Part(_text(value))
        case type() | FunctionType() | BuiltinFunctionType() | np.ufunc():
            return Part(_named(value, where, imports))
        case np.ndarray():
            raise Unwritable(f"{where}: found an array; give it as a list (`.tolist()`), and save the estimator again")
        case _:
            return _call(value, where, imports)


def _several(value: Any, part: Callable[[Any], Part]) -> Part:
    """A list, a tuple, a dict or a slice."""
    match value:
        case dict():
            items = zip(map(part, value), map(part, value.values()), strict=True)
            return Part("{", tuple(replace(one, text=f"{key.flat}: {one.text}") for key, one in items), "}")
        case slice():
            return Part("slice(", tuple(map(part, (value.start, value.stop, value.step))), ")")
        case list():
            return Part("[", tuple(map(part, value)), "]")
        case _:
            return Part("(", tuple(map(part, value)), ",)" if len(value) == 1 else ")")


def _text(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and text[0] == "'" and '"' not in text else text


def _call(value: Any, where: str, imports: dict[str, set[str]]) -> Part:
    """A call of the class of an object with the parameters that differ from their defaults."""
    kind = type(value)
    named = _named(kind, where, imports)
    given = _parameters(value)
    if given is None:
        raise Unwritable(
            f"{where}: found an object of {kind.__module__}.{kind.__qualname__}, whose parameters are not known; "
            f"expected numbers, texts, lists and estimators, or {_BY_HAND}"
        )
    known = inspect.signature(kind).parameters
    defaults = {name: known[name].default for name in given if name in known}
    order = [*(name for name in known if name in given), *(name for name in given if name not in known)]
    inside: list[Part] = []
    for name in order:
        if name in defaults and same(given[name], defaults[name]):
            continue
        part = _part(given[name], f"{kind.__name__}, {name}", imports)
        inside.append(replace(part, text=f"{name}={part.text}"))
    return Part(f"{named}(", tuple(inside), ")")


def _parameters(value: Any) -> dict[str, Any] | None:
    """What an object was made with: as it says itself, or else from its attributes; None where that cannot be told."""
    if hasattr(value, "get_params"):
        return value.get_params(deep=False)
    try:
        known = inspect.signature(type(value)).parameters
    except (TypeError, ValueError):
        return None
    if any(one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY) for one in known.values()):
        return None
    given = {name: getattr(value, name) for name in known if hasattr(value, name)}
    methods = [name for name, one in given.items() if getattr(one, "__self__", None) is value]
    return given if len(given) == len(known) and not methods else None


def _named(value: Any, where: str, imports: dict[str, set[str]]) -> str:
    """How source names a class or a function; it is imported from where its library makes it public."""
    name = str(getattr(value, "__qualname__", value.__name__))
    module = _of_ufunc(value) if isinstance(value, np.ufunc) else str(value.__module__)
    what = "class" if isinstance(value, type) else "function"
    if name.rpartition(".")[2] == "<lambda>":
        raise Unwritable(
            f"{where}: found a lambda; expected a function of a library, such as numpy.log1p, or {_BY_HAND}"
        )
    home = _home(module, name, value)
    if home is None:
        raise Unwritable(
            f"{where}: found the {what} {name} of {module}; expected one of an installed library, or {_BY_HAND}"
        )
    if home == "builtins":
        return name
    imports.setdefault(home, set()).add(name)
    return f"np.{name}" if home == "numpy" else name


def _of_ufunc(value: Any) -> str:
    """The module of a function on arrays, which does not know it."""
    return next((one for one in ("numpy", "scipy.special") if _found(one, value.__name__) is value), "numpy")


def _home(module: str, name: str, value: Any) -> str | None:
    """The module of a library from which a name is imported: without a leading underscore if there is one."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    installed = [Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")]
    if top not in sys.stdlib_module_names and not (file and any(Path(file).is_relative_to(one) for one in installed)):
        return None
    parts = module.split(".")
    longer = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    public = [one for one in longer if not any(part.startswith("_") for part in one.split("."))]
    return next((one for one in [*public, module] if _found(one, name) is value), None)


def _found(module: str, name: str) -> Any:
    """What a module has by a name; None where it does not want it to be imported, as scikit-learn's experiments."""
    try:
        return getattr(import_module(module), name, None)
    except ImportError:
        return None
