"""What policies would have earned by the log, and whether one may take the place of another."""
