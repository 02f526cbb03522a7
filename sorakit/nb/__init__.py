"""Helpers for notebooks."""
