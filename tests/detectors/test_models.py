"""Estimators keep scikit-learn's rules; model files are hashed first and hold nothing strange."""

import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from detectors.estimators import BlockFusion, ClippedScaler, Platt
from detectors.shipped import DEFAULT, SHA256, judge_of
from detectors.store import load_model, save_model
from sorakit.errors import ModelError


@parametrize_with_checks([ClippedScaler(), BlockFusion(), Platt()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def _data(n=200, d=12, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return rng.normal(size=(n, d)) + y[:, None] * np.linspace(0, 1, d), y


def test_contributions_add_up_to_the_logit():
    X, y = _data()
    model = BlockFusion(blocks=(4, 12), strengths=(0.1, 1.0)).fit(X, y)
    assert model.contributions(X).sum(1) + model.intercept_ == pytest.approx(model.decision_function(X))
    assert model.score(X, y) > 0.8


def test_blocks_share_the_say():
    X, y = _data()
    alone = BlockFusion(blocks=(4, 12), shares=(0.0, 1.0)).fit(X, y)
    assert np.abs(alone.coef_[:4]).max() == 0
    assert np.abs(alone.coef_[4:]).max() > 0


def test_two_models_of_one_scaler_blend_into_one():
    X, y = _data()
    one = BlockFusion(blocks=(4, 12)).fit(X, y)
    alone = one.decision_function(X)
    noisy = X + np.random.default_rng(1).normal(size=X.shape)
    two = BlockFusion(blocks=(4, 12)).fit(noisy, y, scaler=one.scaler_)
    both = one.blend(two, 0.25).decision_function(X)
    assert both == pytest.approx(0.75 * alone + 0.25 * two.decision_function(X))
    with pytest.raises(ValueError, match="scaler_"):
        one.blend(BlockFusion().fit(X, y), 0.5)


def test_an_outlier_has_no_more_than_its_clip():
    X, y = _data()
    model = BlockFusion().fit(X, y)
    far = X[:1].copy()
    far[0, -1] = 1e9
    further = far * 10
    assert model.decision_function(far)[0] <= model.decision_function(X[:1])[0] + 12 * abs(model.coef_[-1])
    further[0, :-1] = far[0, :-1]
    assert model.decision_function(far) == model.decision_function(further)


def test_platt_is_calibrated_at_even_odds():
    rng = np.random.default_rng(0)
    y = (rng.random(4000) < 0.2).astype(int)
    score = rng.normal(y * 1.5, 1.0)[:, None]
    p = Platt().fit(score, y).predict_proba(score)[:, 1]
    # two normals 1.5 apart: log-odds at even odds are 1.5 (x - 0.75)
    assert p == pytest.approx(1 / (1 + np.exp(-1.5 * (score[:, 0] - 0.75))), abs=0.05)


def test_a_model_comes_back_as_it_was(tmp_path):
    X, y = _data()
    model = BlockFusion().fit(X, y)
    digest = save_model({"fusion": model, "low": 0.5}, {"name": "x"}, tmp_path / "m.skops")
    back, card = load_model(tmp_path / "m.skops")
    assert card["sha256"] == digest
    assert np.array_equal(back["fusion"].decision_function(X), model.decision_function(X))
    assert save_model({"fusion": model, "low": 0.5}, {"name": "x"}, tmp_path / "n.skops") == digest


def test_a_tampered_model_is_refused(tmp_path):
    X, y = _data()
    path = tmp_path / "m.skops"
    save_model({"fusion": BlockFusion().fit(X, y)}, {"name": "x"}, path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ModelError, match="SHA-256"):
        load_model(path)


def test_the_shipped_hash_stands_in_the_code_not_only_beside_the_file(tmp_path):
    X, y = _data()
    path = tmp_path / "default.skops"
    save_model({"fusion": BlockFusion().fit(X, y)}, {"name": "x"}, path)
    with pytest.raises(ModelError, match="SHA-256"):
        load_model(path, SHA256)
    assert load_model(DEFAULT, SHA256)[1]["name"] == "sorakit-detector"


def test_a_foreign_type_is_refused(tmp_path):
    X, y = _data()
    path = tmp_path / "m.skops"
    save_model({"fusion": BlockFusion().fit(X, y), "more": LogisticRegression().fit(X, y)}, {}, path)
    assert load_model(path)[0]["more"].score(X, y) > 0.5  # scikit-learn's own types are harmless to skops
    data = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(data, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name == "schema.json":
                body = body.replace(b'"detectors.estimators"', b'"os"').replace(b'"BlockFusion"', b'"system"')
            new.writestr(name, body)
    path.write_bytes(data.getvalue())
    card = json.loads(path.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(data.getvalue()).hexdigest()
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="types that no model needs"):
        load_model(path)


@pytest.mark.parametrize("data", [b"no archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_model_is_refused_in_one_line(tmp_path, data):
    path = tmp_path / "m.skops"
    path.write_bytes(data)
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(data).hexdigest()}))
    with pytest.raises(ModelError, match="no model file"):
        load_model(path)


def test_a_source_whose_name_is_no_utf8_ends_no_training(tmp_path):
    path, source = tmp_path / "m.skops", b"caf\xe9".decode("utf-8", "surrogateescape")
    save_model({"low": 0.5}, {"clips": {"real": {source: 1}}}, path)
    assert load_model(path)[1]["clips"]["real"] == {source: 1}


def test_missing_and_nameless_models_say_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="reinstall"):
        load_model(tmp_path / "none.skops")
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(ModelError, match="sha256"):
        load_model(tmp_path / "a.skops")


def test_a_model_of_other_features_is_refused(tmp_path):
    X, y = _data()
    save_model({"fusion": BlockFusion().fit(X, y), "features": "0"}, {"name": "x"}, tmp_path / "m.skops")
    with pytest.raises(ModelError, match="other features"):
        judge_of(tmp_path / "m.skops")
