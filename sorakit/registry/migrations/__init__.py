"""Alembic migrations of the registry, applied when it is opened."""
