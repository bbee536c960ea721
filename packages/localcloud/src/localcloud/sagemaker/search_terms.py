"""Does a record satisfy a search expression?

Pure. A property is a path of members in the record's shape of botocore's service model: through lists, of which any
item counts, and through maps, whose keys may hold dots. Beside them there are `Tags.<key>` and `Metrics.<name>`, and
for a trial component `Metrics.<name>.<statistic>`.

Sources: Amazon SageMaker API Reference, "Search", "SearchExpression", "Filter" and "NestedFilters". Not documented, and
ours: a text property is compared with regard to case; `NotEquals` is satisfied where no value equals, also where there
is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from localcloud.sagemaker.errors import invalid
from localcloud.sagemaker.store import Document
from localcloud.sagemaker.wire import epoch_seconds

_MOST = 50
_TEXT, _NUMBER, _TIME, _BOOLEAN, _ANY = "text", "number", "time", "boolean", "any"
_KINDS = {
    "string": _TEXT,
    "integer": _NUMBER,
    "long": _NUMBER,
    "float": _NUMBER,
    "double": _NUMBER,
    "timestamp": _TIME,
    "boolean": _BOOLEAN,
}
_VALUES = ("StringValue", "NumberValue", "Value")
"""Members of what stands in a map for its one value: of parameters and of artifacts."""
_ORDERS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThan": lambda one, other: one > other,
    "GreaterThanOrEqualTo": lambda one, other: one >= other,
    "LessThan": lambda one, other: one < other,
    "LessThanOrEqualTo": lambda one, other: one <= other,
}
_ONLY_TEXT = {"Contains", "In"}
_WITHOUT_VALUE = {"Exists", "NotExists"}
_CONTAINS_OFTEN = {
    "Experiment": {"DisplayName", "ExperimentName", "Tags"},
    "Trial": {"DisplayName", "TrialName", "Tags"},
    "TrialComponent": {"DisplayName", "TrialComponentName", "Tags", "InputArtifacts", "OutputArtifacts"},
}


@dataclass(frozen=True)
class Searched:
    """What is searched.

    Attributes:
        member: Of a SearchRecord: `TrialComponent`.
        shape: Its `botocore.model.StructureShape`.
    """

    member: str
    shape: Any


def check(expression: Document, searched: Searched) -> None:
    """Refuse an expression that SageMaker would.

    Raises:
        ApiError: A ValidationException.
    """
    terms = list(_terms(expression))
    if len(terms) > _MOST:
        raise invalid(
            f"A SearchExpression can have {_MOST} filters, nested filters and subexpressions; it has {len(terms)}."
        )
    contains = 0
    for term in terms:
        if not term.keys() & {"Name", "Filters", "NestedFilters", "SubExpressions"}:
            raise invalid("A SearchExpression must have at least one subexpression, filter, or nested filter.")
        if "NestedPropertyName" in term:
            _require_objects(searched, term["NestedPropertyName"])
            for inner in term["Filters"]:
                if not inner["Name"].startswith(f"{term['NestedPropertyName']}."):
                    raise invalid(f"The filter of {inner['Name']} is not one of {term['NestedPropertyName']}.")
        if "Name" in term:
            _check_filter(term, _kind(searched, term["Name"]))
            often = term["Name"].partition(".")[0] in _CONTAINS_OFTEN.get(searched.member, ())
            contains += term.get("Operator") == "Contains" and not often
    if contains > 1:
        raise invalid("'CONTAINS' operator usage limit of 1 exceeded.")


def require(path: str, searched: Searched) -> None:
    """Refuse a property that there is not.

    Raises:
        ApiError: A ValidationException.
    """
    _kind(searched, path)


def satisfies(record: Document, expression: Document, searched: Searched) -> bool:
    """Whether a record satisfies an expression that was checked.

    Args:
        record: The record, as Search shows it.
        expression: Empty for everything.
        searched: What is searched.
    """
    if not expression:
        return True
    results = (
        *(_fits(values(record, one["Name"], searched), one) for one in expression.get("Filters", ())),
        *(_fits_nested(record, one, searched) for one in expression.get("NestedFilters", ())),
        *(satisfies(record, one, searched) for one in expression.get("SubExpressions", ())),
    )
    return any(results) if expression.get("Operator") == "Or" else all(results)


def values(record: Document, path: str, searched: Searched) -> list[Any]:
    """The values of a property of a record; empty where it has none.

    Raises:
        ApiError: There is no such property.
    """
    _kind(searched, path)
    first, _, rest = path.partition(".")
    if first == "Tags" and rest:
        return [tag["Value"] for tag in record.get("Tags", ()) if tag["Key"] == rest]
    if first == "Metrics" and rest:
        return list(_metrics(record, rest))
    return list(_leaves(searched.shape, record, path))


def _terms(expression: Document) -> Iterator[Document]:
    """An expression, and all that is in it."""
    yield expression
    for name in ("Filters", "NestedFilters", "SubExpressions"):
        for inner in expression.get(name, ()):
            yield from _terms(inner)


def _require_objects(searched: Searched, path: str) -> None:
    """Refuse a property that does not lead to objects through members and lists alone."""
    shape = searched.shape
    for part in path.split("."):
        shape = getattr(shape, "members", {}).get(part)
        while shape is not None and shape.type_name == "list":
            shape = shape.member
    if shape is None or shape.type_name != "structure":
        raise invalid(f"{path} of {searched.member} is no list of objects, which a nested filter needs.")


def _check_filter(term: Document, kind: str) -> None:
    name, operator = term["Name"], term.get("Operator", "Equals")
    if (operator in _WITHOUT_VALUE) == ("Value" in term):
        raise invalid(
            f"The filter of {name} with operator {operator} {'has a' if 'Value' in term else 'has no'} Value."
        )
    if operator in _ORDERS and kind in {_TEXT, _BOOLEAN}:
        raise invalid(f"Operator {operator} is not supported for {name}, which is a {kind} property.")
    if operator in _ONLY_TEXT and kind not in {_TEXT, _ANY}:
        raise invalid(f"Operator {operator} is only supported for text properties; {name} is a {kind} property.")
    if (
        operator not in _ONLY_TEXT | _WITHOUT_VALUE
        and kind in {_NUMBER, _TIME}
        and _number(term["Value"], kind) is None
    ):
        raise invalid(f"The Value of {name} is {term['Value']}, which is no {kind}.")


def _kind(searched: Searched, path: str) -> str:
    """What a property holds.

    Raises:
        ApiError: There is no such property.
    """
    first, _, rest = path.partition(".")
    members = searched.shape.members
    if rest and (first == "Metrics" and {"Metrics", "FinalMetricDataList"} & members.keys()):
        return _ANY
    if rest and first == "Tags" and "Tags" in members:
        return _TEXT
    shape = searched.shape
    while path:
        if shape.type_name == "list":
            shape = shape.member
        elif shape.type_name == "map":
            return _TEXT if "Value" in getattr(shape.value, "members", {}) else _ANY
        else:
            name, _, path = path.partition(".")
            if name not in getattr(shape, "members", {}):
                raise invalid(f"{searched.member} has no property {name}.")
            shape = shape.members[name]
    return _KINDS.get(shape.type_name, _TEXT)


def _leaves(shape: Any, value: Any, path: str) -> Iterator[Any]:
    if value is None:
        return
    if shape.type_name == "list":
        for item in value:
            yield from _leaves(shape.member, item, path)
    elif shape.type_name == "map":
        for key, item in value.items():
            if path in {"", key} or path.startswith(f"{key}."):
                yield from _leaves(shape.value, item, path[len(key) + 1 :])
    elif shape.type_name != "structure":
        yield value
    elif path:
        name, _, rest = path.partition(".")
        yield from _leaves(shape.members[name], value.get(name), rest)
    else:
        yield from [value[name] for name in _VALUES if name in value] or [value]


def _metrics(record: Document, path: str) -> Iterator[float]:
    for metric in (*record.get("Metrics", ()), *record.get("FinalMetricDataList", ())):
        name = metric["MetricName"]
        if path == name:
            yield metric.get("Last", metric.get("Value"))
        elif path.startswith(f"{name}."):
            yield from [value for member, value in metric.items() if member.lower() == path[len(name) + 1 :].lower()]


def _fits_nested(record: Document, nested: Document, searched: Searched) -> bool:
    """Whether one object of a list satisfies all filters."""
    name = nested["NestedPropertyName"]
    shape, objects = searched.shape, [record]
    for part in name.split("."):
        shape = shape.members[part]
        objects = [one[part] for one in objects if part in one]
        while shape.type_name == "list":
            shape, objects = shape.member, [item for one in objects for item in one]
    inside = [(one["Name"].removeprefix(f"{name}."), one) for one in nested["Filters"]]
    return any(all(_fits(list(_leaves(shape, item, path)), one) for path, one in inside) for item in objects)


def _fits(found: list[Any], term: Document) -> bool:
    operator, wanted = term.get("Operator", "Equals"), term.get("Value", "")
    if operator in _WITHOUT_VALUE:
        return bool(found) == (operator == "Exists")
    if operator == "NotEquals":
        return not any(_equal(value, wanted) for value in found)
    return any(_compare(operator, value, wanted) for value in found)


def _compare(operator: str, value: Any, wanted: str) -> bool:
    if operator == "Equals":
        return _equal(value, wanted)
    if operator == "Contains":
        return wanted in str(value)
    if operator == "In":
        return str(value) in [one.strip() for one in wanted.split(",")]
    one, other = _number(value, _NUMBER), _number(wanted, _TIME)
    return one is not None and other is not None and _ORDERS[operator](one, other)


def _equal(value: Any, wanted: str) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    return value == _number(wanted, _TIME) if isinstance(value, int | float) else str(value) == wanted


def _number(value: Any, kind: str) -> float | None:
    """A number; of a time, which may be ISO 8601, its epoch seconds; None if it is neither."""
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return epoch_seconds(value) if kind == _TIME else None
    except ValueError:
        return None
