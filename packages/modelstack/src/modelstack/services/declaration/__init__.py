"""The monitoring of a stack as data, which each platform compiles to its own resources."""
