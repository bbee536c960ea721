"""The commands of `modelstack`, by what they do."""
