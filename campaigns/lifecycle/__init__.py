"""The life of a campaign: drafted, looked over, approved, started, and kept to its dates."""
