"""Check whole folders and buckets: find, share out, remember, report."""

from sorakit.scan.run import Order, scan

__all__ = ["Order", "scan"]
