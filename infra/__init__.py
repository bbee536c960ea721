"""What exists: the Pulumi program, composed by `__main__.py`."""
