"""Programs that run the local stacks: up, demo, down, images."""
