"""What a decision earned: which events are its own, and when they are all there."""
