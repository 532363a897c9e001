"""The language of messages: placeholders and filters, and nothing that could run away."""
