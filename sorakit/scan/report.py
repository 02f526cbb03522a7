"""Everything that a scan leaves to read: JSONL, Parquet, a page, a summary, a list of review tasks.

In: rows and the summary. Out: files, each put in place whole. No absolute path stands in any of them.
"""

import io
import json
from pathlib import Path
from typing import Any

from sorakit.batch.report import put
from sorakit.scan.labelstudio import write_tasks
from sorakit.scan.page import render
from sorakit.scan.rows import Row

__all__ = ["REPORT", "STILLS", "parquet", "write_reports"]

REPORT = "sorakit-scan"
STILLS = "stills"


def write_reports(
    rows: list[Row],
    summary: dict[str, Any],
    out: Path,
    links: dict[str, str | None],
    tasks: Path | None = None,
    *,
    every: bool = False,
) -> dict[str, str | None]:
    """Write all; returns their paths. Parquet needs pyarrow and is None without. Raises `OutputError`."""
    lines = [json.dumps(r.to_json(), ensure_ascii=False) + "\n" for r in rows]
    made: dict[str, str | None] = {
        kind: str(out / f"{REPORT}.{kind}") for kind in ("jsonl", "parquet", "html", "json")
    }
    put(out / f"{REPORT}.jsonl", "".join(lines))
    table = parquet(rows)
    if table is None:
        made["parquet"] = None
    else:
        put(out / f"{REPORT}.parquet", table)
    put(out / f"{REPORT}.html", render(rows, summary, out / STILLS, links))
    put(out / f"{REPORT}.json", json.dumps(summary, ensure_ascii=False, indent=1) + "\n")
    if tasks is not None:
        write_tasks(rows, tasks, out / STILLS, links, every=every)
        made["label_studio"] = str(tasks)
    return made


def parquet(rows: list[Row]) -> bytes | None:
    """One flat row a file; `verdict` holds the whole JSON. None where pyarrow is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        return None
    texts = pa.list_(pa.string())
    schema = pa.schema(
        [
            ("file", pa.string()),
            ("size", pa.int64()),
            ("sha256", pa.string()),
            ("state", pa.string()),
            ("duplicate_of", pa.string()),
            ("decision", pa.string()),
            ("reasons", texts),
            ("error", pa.string()),
            ("provenance_state", pa.string()),
            ("signer", pa.string()),
            ("claim_generator", pa.string()),
            ("digital_source_type", pa.string()),
            ("watermark_found", pa.bool_()),
            ("watermark_payload", pa.string()),
            ("watermark_log10_p", pa.float64()),
            ("recovery_state", pa.string()),
            ("manifest_id", pa.string()),
            ("detector_label", pa.string()),
            ("detector_probability", pa.float64()),
            ("detector_model", pa.string()),
            ("detector_reasons", texts),
            ("policy", pa.string()),
            ("elapsed_ms", pa.int64()),
            ("verdict", pa.string()),
        ]
    )
    table = pa.Table.from_pylist([_flat(r) for r in rows], schema=schema)
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _flat(row: Row) -> dict[str, Any]:
    said = row.to_json()
    own, mark, found = said["provenance"], said["watermark"], said["recovery"]
    opinion = said["detector"] or {}
    kept = ("file", "size", "sha256", "state", "duplicate_of", "decision", "reasons", "error", "policy")
    return {k: said[k] for k in kept} | {
        "elapsed_ms": said["elapsed_ms"],
        "provenance_state": own["state"],
        "signer": own["signer"],
        "claim_generator": own["claim_generator"],
        "digital_source_type": own["digital_source_type"],
        "watermark_found": mark["found"],
        "watermark_payload": mark["payload"],
        "watermark_log10_p": float(mark["log10_p"]),
        "recovery_state": found["state"],
        "manifest_id": found["manifest_id"] or own["manifest_id"],
        "detector_label": opinion.get("label"),
        "detector_probability": opinion.get("probability"),
        "detector_model": opinion.get("model"),
        "detector_reasons": list(opinion.get("reasons") or []),
        "verdict": json.dumps(said, ensure_ascii=False),
    }
