"""The first tables, and triggers that keep the audit log append-only."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "manifests",
        sa.Column("id", sa.String(255), primary_key=True),
        sa.Column("store", sa.LargeBinary(), nullable=False),
        sa.Column("store_sha256", sa.String(64), nullable=False, index=True),
        sa.Column("file_sha256", sa.String(64), nullable=False, index=True),
        sa.Column("title", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_ms", sa.BigInteger(), nullable=False, index=True),
        sa.Column("generation", sa.JSON()),
    )
    op.create_table(
        "soft_bindings",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("manifest_id", sa.String(255), _parent(), nullable=False, index=True),
        sa.Column("algorithm", sa.String(255), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
    )
    op.create_index("ix_soft_bindings_algorithm_value", "soft_bindings", ["algorithm", "value"])
    op.create_table(
        "fingerprints",
        sa.Column("manifest_id", sa.String(255), _parent(), primary_key=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("blob", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "audit_log",
        sa.Column("seq", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
    )
    _append_only()


def _parent() -> sa.ForeignKey:
    return sa.ForeignKey("manifests.id", ondelete="CASCADE")


def _append_only() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
            "FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_log_no_{verb.lower()} BEFORE {verb} ON audit_log "
            "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
        )
