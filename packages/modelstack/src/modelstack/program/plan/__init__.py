"""Pure functions from config and live state to what is declared."""
