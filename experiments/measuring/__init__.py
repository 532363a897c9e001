"""What customers came to, arm by arm: the evidence that an analysis starts from."""
