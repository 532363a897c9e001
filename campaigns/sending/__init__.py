"""What is sent: who gets a message, when, and what became of it."""
