"""What is to be declared, from the config and what is live: pure."""
