"""Hands campaigns to clients that draw offers themselves, and logs what they drew."""
