"""AWS's own tables of resources, actions and runtimes, as cfn-lint carries them."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

TABLES = Path(str(distribution("cfn-lint").locate_file("cfnlint/data")))
"""Found without importing cfn-lint, which takes seconds."""
