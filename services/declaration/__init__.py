"""What a stack consists of, as data: each platform compiles it to its own resources."""
