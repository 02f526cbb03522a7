"""Detectors of synthetic video. What one must offer is in `detectors.base`."""
