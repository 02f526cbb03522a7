"""Mark whole folders: find, share out, remember, report."""

from sorakit.batch.run import Order, mark_folder

__all__ = ["Order", "mark_folder"]
