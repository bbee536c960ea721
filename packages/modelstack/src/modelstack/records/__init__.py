"""What happened, and its source."""
