"""Networks: one idea a file."""
