"""`modelstack trace`: from a prediction's id to its version, data, commit and people."""
