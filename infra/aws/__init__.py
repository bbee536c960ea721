"""The components of a stack on AWS, one a file."""
