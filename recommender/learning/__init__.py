"""How a policy learns from settled rewards, publishes, and is kept right."""
