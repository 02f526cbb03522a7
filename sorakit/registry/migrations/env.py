"""Alembic's entry: runs the migrations on the connection that `engine.migrate` has locked."""

from alembic import context

from sorakit.registry.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # all of an upgrade or nothing, on SQLite too
)
with context.begin_transaction():
    context.run_migrations()
