"""What is said and shown in a dispute: statements, staff's questions, files."""
