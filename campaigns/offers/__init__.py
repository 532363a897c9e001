"""What is known of an offer, entered and shown: its facts, and how it reads in each placement."""
