"""Does a rollout end well whatever happens? Bad days of the whole controller, one a seed, in a simulated cloud."""
