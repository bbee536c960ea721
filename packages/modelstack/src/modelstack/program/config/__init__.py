"""The schema of a stack file, and its error messages."""
