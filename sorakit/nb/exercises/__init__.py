"""What is right in the course's exercises: one module a notebook, each with its `EXERCISES`."""
