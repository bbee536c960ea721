"""The files of `model/` as `modelstack model init` writes them. They are the team's from then on."""

from __future__ import annotations

from cli.init.source import Source, literal
from cli.init.table import Table

_DATA = '''"""The table to learn from, and what its columns are."""

from __future__ import annotations

from typing import Any

import pandas as pd

from model.sources import TABLE

COLUMNS = {columns}
"""The features, in the order in which the estimator takes them."""


def training(settings: Any) -> Any:
    """Every row of the table, with its features and its true answer."""
    table: Any = pd.read_csv(TABLE, low_memory=False)
    {body}
'''
_SOURCES = '''"""Which files the data is in. Standard library only: read on each `pulumi preview`."""

from __future__ import annotations

from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "data" / {name}


def files() -> dict[str, Path]:
    """Name -> file. When one changes, the next release is a new version."""
    return {{TABLE.name: TABLE}}
'''
_TRAINING = '''"""Fit the model. Its outcome is the same each time."""

from __future__ import annotations

from typing import Any

{imports}


def estimator() -> Any:
    """The estimator, not fitted. It is given an array: a column is a place in COLUMNS of data.py, from 0."""
    return {expression}


def train(rows: Any, settings: Any) -> Any:
    """Fit it on all rows."""
    return estimator().fit(rows.table, rows.label)
'''


def files(table: Table, estimator: Source) -> dict[str, str]:
    """Name -> text of each file of a model.

    Args:
        table: What its columns are.
        estimator: What is fitted.
    """
    columns = literal(list(table.features)).laid_out(0, len("COLUMNS = "))
    imports = "\n".join(estimator.imports)
    return {
        "__init__.py": '"""The model: what `pipeline` trains, and `serving` serves."""\n',
        "data.py": _DATA.format(columns=columns, body="\n    ".join(_body(table))),
        "sources.py": _SOURCES.format(name=_quoted(table.path.name)),
        "training.py": _TRAINING.format(imports=imports, expression=estimator.expression),
    }


def _body(table: Table) -> list[str]:
    """How `training` ends."""
    beside = [f"label=table[{_quoted(table.label)}],"]
    before: list[str] = []
    if table.time is not None:
        before = [f'at = pd.to_datetime(table[{_quoted(table.time)}], format="ISO8601", utc=True).dt.tz_localize(None)']
        beside += ["event_time=at,", "label_at=at,  # a label that is known only later: say when it is"]
    if table.id is not None:
        beside.append(f"id=table[{_quoted(table.id)}],")
    if len(beside) == 1:
        return [f"return table[COLUMNS].assign({beside[0].removesuffix(',')})"]
    return [*before, "return table[COLUMNS].assign(", *(f"    {line}" for line in beside), ")"]


def _quoted(text: str) -> str:
    return literal(text).flat
