"""Rails, operations and provider facts."""
