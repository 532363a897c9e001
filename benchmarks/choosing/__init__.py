"""Times choosing among many offers: with propensities, without, and by other people's bandits."""
