"""The components of a stack on AWS, one per file."""
