"""The files of `model/` as `modelstack model init` writes them; from then on the team owns them."""

from __future__ import annotations

import json
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cli.init.estimator import Blank
from cli.init.table import Table
from pipeline.recipe import sha256_of

PICKLE = "estimator.pickle"
_TEMPLATES = Path(__file__).parent / "templates"


def render(given: Path, table: Table, blank: Blank) -> dict[str, bytes]:
    """Name -> content of each file of a model; `given` is the file with the fitted estimator."""
    known = Environment(  # noqa: S701  Python, and no HTML
        loader=FileSystemLoader(_TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    known.filters["quoted"] = lambda text: json.dumps(text, ensure_ascii=False)
    values = {"given": given, "digest": sha256_of(given), "table": table, "blank": blank, "pickle": PICKLE}
    texts = {
        name.removesuffix(".jinja"): known.get_template(name).render(values).encode() for name in known.list_templates()
    }
    return {**texts, PICKLE: blank.content}
