"""Drift: logs of every kind are read, and a prior alone is no drift."""

import json

import numpy as np
import pytest

from detectors.monitor import drift
from detectors.shipped import DEFAULT
from detectors.store import read_card
from sorakit.moderation.decision_log import append
from sorakit.moderation.policy_file import load_policy
from sorakit.types import Decision, DetectorEvidence, Evidence, Verdict


@pytest.mark.parametrize("prior", [0.01, 0.001])
def test_monitor_is_quiet_where_a_low_prior_ends_the_chances_early(tmp_path, prior):
    card = read_card(DEFAULT)
    known = card["distributions"]
    p = np.interp(np.random.default_rng(2).random(1000), known["at"], known["values"]["probability"])
    odds = p / (1 - p) * prior / (1 - prior)
    log, moved = tmp_path / "log.jsonl", {}
    for name, chance in (("same", odds / (1 + odds)), ("low", 0.05 * odds / (1 + 0.05 * odds))):
        shown = chance.clip(0.001, 0.999).round(4).tolist()
        lines = [json.dumps({"detector": {"probability": v, "prior": prior}}) + "\n" for v in shown]
        log.write_text("".join(lines))
        moved[name] = drift(log, card)["drifted"]
    assert moved == {"same": False, "low": True}


def test_monitor_reads_a_log_of_decisions(tmp_path):
    log, said = tmp_path / "decisions.jsonl", DetectorEvidence(0.25, "uncertain", "x@1", prior=0.5)
    verdict = Verdict(Decision.UNCERTAIN, Evidence("a.mp4", None, detector=said), ["why"], "default@1", 1)
    for _ in range(30):
        append(log, verdict, load_policy("default"))
    assert drift(log, read_card(DEFAULT))["n"] == 30
