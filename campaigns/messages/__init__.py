"""The pages on which a campaign's messages are written, tried, and followed on their way."""
