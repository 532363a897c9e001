"""Decides what a customer sees: the path of one decision, from the question to the log."""
