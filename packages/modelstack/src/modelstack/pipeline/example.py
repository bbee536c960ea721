"""An example request from the model's training data, which a probe sends to check that the model answers."""

from __future__ import annotations

import json
from typing import Any

from modelstack.pipeline.rows import Rows, as_json, tables
from modelstack.pipeline.step import end_with_parent, in_words

_LOOKED_AT = 1000


def request(rows: Rows) -> dict[str, Any]:
    """The first row without missing values, or else the first row, as the body of a request."""
    found = [
        {name: as_json(values[row]) for name, values in rows.columns.items()}
        for row in range(min(len(rows), _LOOKED_AT))
    ]
    return {"instances": [next((item for item in found if None not in item.values()), found[0])]}


def main() -> None:
    """Print a request that the model with its default parameters answers."""
    from modelstack.pipeline import parts  # noqa: PLC0415  runs the model, which `request` does not need

    end_with_parent()
    print(json.dumps(request(tables(parts.data, parts.settings({})).training), indent=2))


if __name__ == "__main__":
    in_words(main)
