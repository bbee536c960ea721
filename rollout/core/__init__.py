"""What is asked of a challenger, where its rollout stands, and what follows: data and pure functions."""
