"""The pages of audiences: their list, the builder of rules, and lists from files."""
