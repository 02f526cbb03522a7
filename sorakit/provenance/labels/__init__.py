"""Labels that the law asks for: China's `AIGC` metadata, and visible ones: planned, declared, read back."""

from sorakit.provenance.labels.aigc import AIGC_KEY, aigc_label, read_aigc
from sorakit.provenance.labels.plan import (
    LABELS_ASSERTION,
    SCHEMES,
    LabelPlan,
    parse_schemes,
    plan_labels,
    read_declared,
)

__all__ = [
    "AIGC_KEY",
    "LABELS_ASSERTION",
    "SCHEMES",
    "LabelPlan",
    "aigc_label",
    "parse_schemes",
    "plan_labels",
    "read_aigc",
    "read_declared",
]
