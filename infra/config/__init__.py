"""What may stand in a stack file, and what is wrong with what stands there."""
