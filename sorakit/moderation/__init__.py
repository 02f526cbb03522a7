"""From evidence to decisions."""
