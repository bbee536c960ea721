"""Stories that `make demo`, `make promote`, `make pipeline` and `make year` tell on this machine; see each folder."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
