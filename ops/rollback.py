"""A person takes a release back."""

from __future__ import annotations
