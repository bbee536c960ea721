"""Quality of answers, measured with late labels."""
