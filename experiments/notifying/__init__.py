"""Tells people and programs what happens to experiments: at once, or once a week."""
