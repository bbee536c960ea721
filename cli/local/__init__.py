"""What runs the local stacks: up, demo, down, images."""
