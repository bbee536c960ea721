"""Measurements: one scenario a file, one run, one machine, each number beside its goal and its peer."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
