"""Attacking a user's file: results, refusals, and the note of what a signed file lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from sorakit.cli import main
from sorakit.config import Settings
from sorakit.errors import InputError, UsageError
from sorakit.publish import publish
from sorakit.registry.repo import Registry
from sorakit.robustness.run import How, attack_all, attack_file, listed


@pytest.fixture(scope="module")
def signed(
    tmp_path_factory: pytest.TempPathFactory, module_settings: Settings, clip_factory: Callable
) -> Path:
    path = tmp_path_factory.mktemp("signed") / "signed.mp4"
    return publish(clip_factory(seconds=1.5, fps=16), path, settings=module_settings).path


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, clip_factory: Callable, file_factory: Callable) -> Path:
    return file_factory(tmp_path_factory.mktemp("plain") / "plain.mp4", clip_factory(1.0, (256, 144), 12))


def test_the_list_is_long_and_each_attack_has_its_family_and_range() -> None:
    attacks = listed()
    assert len(attacks) >= 40
    assert {"autoencoder", "regenerate"} <= {a.name for a in attacks}
    for attack in attacks:
        assert attack.summary
        if attack.strength:
            assert attack.strength.low <= attack.strength.default <= attack.strength.high
            assert attack.strength.unit


def test_a_signed_file_is_refused_and_with_consent_the_audit_log_says_whose(
    signed: Path, module_settings: Settings, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    with pytest.raises(UsageError, match=r"carries a credential by .*--strip-credential"):
        attack_file(signed, out, "remux", settings=module_settings)
    assert not out.exists()
    done = attack_file(signed, out, "remux", How(strip=True), settings=module_settings)
    assert done.stripped
    assert done.found
    with Registry(module_settings.database_url) as registry:
        event = next(iter(registry.audit_events(1)))
        assert registry.verify_audit() is None
    assert event["event"] == "attack.credential_stripped"
    assert event["subject"] == done.stripped
    assert str(out) in event["details"]


def test_what_keeps_the_credential_needs_no_consent(
    signed: Path, module_settings: Settings, tmp_path: Path
) -> None:
    done = attack_file(signed, tmp_path / "flip.mp4", "flip_byte", How(read=False), settings=module_settings)
    assert done.stripped is None
    assert done.found is None


def test_a_credential_beside_the_file_is_lost_by_every_attack(
    module_settings: Settings, clip_factory: Callable, tmp_path: Path
) -> None:
    source = publish(clip_factory(1.0, fps=16), tmp_path / "signed.mkv", settings=module_settings).path
    with pytest.raises(UsageError, match="untouched would lose it"):
        attack_file(source, tmp_path / "out.mp4", "untouched", settings=module_settings)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["signed.c2pa", "signed.mkv"]


def test_ctrl_c_leaves_nothing(tmp_path: Path, clip_factory: Callable, file_factory: Callable) -> None:
    source = file_factory(tmp_path / "long.mp4", clip_factory(4.0))
    (tmp_path / "out").mkdir()

    def stop(_step: str, _share: float) -> None:
        assert list((tmp_path / "out").iterdir())  # it has begun
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attack_file(source, tmp_path / "out" / "out.mp4", "double_encode", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_all_attacks_leave_files_and_a_failure_does_not_stop_the_rest(plain: Path, tmp_path: Path) -> None:
    names = ["untouched", "copy_mark", "h264_crf40"]
    done = {o.attack: o for o in attack_all(plain, tmp_path / "out", How(read=False), names=names)}
    assert set(done) == set(names)
    assert "needs 1 more video" in str(done["copy_mark"].error)
    assert done["h264_crf40"].error is None
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["h264_crf40.mp4", "untouched.mp4"]


def test_misuse_is_refused_before_any_work(plain: Path, tmp_path: Path) -> None:
    there = tmp_path / "there.mp4"
    there.touch()
    for output, name, how, words in (
        (there, "mirror", How(), "--force"),
        (tmp_path / "a.mkv", "mirror", How(), "end in .mp4"),
        (tmp_path / "a.gif", "mirror", How(), "gif for GIF attacks"),
        (plain, "mirror", How(overwrite=True), "must differ from all inputs"),
        (there, "copy_mark", How(others=(there,), overwrite=True), "must differ from all inputs"),
        (tmp_path / "a.mp4", "melt", How(), "one of"),
        (tmp_path / "a.mp4", "mirror", How(seed=-1), "seed"),
        (tmp_path / "a.mp4", "average_forge", How(), "needs 1 more"),
    ):
        with pytest.raises(UsageError, match=words):
            attack_file(plain, output, name, how)
    with pytest.raises(UsageError, match="10 to 51 CRF, got 70"):
        attack_file(plain, tmp_path / "a.mp4", "h264_crf28", strength=70)
    with pytest.raises(UsageError, match="no strength"):
        attack_file(plain, tmp_path / "a.mp4", "mirror", strength=1)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(InputError):
        attack_file(tmp_path / "bad.mp4", tmp_path / "a.mp4", "mirror")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.mp4", "there.mp4"]


def _run(monkeypatch: pytest.MonkeyPatch, *words: object) -> int:
    monkeypatch.setattr("sys.argv", ["sorakit", *map(str, words)])
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_command_lists_attacks_and_reports(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(monkeypatch, "attack", "--list", "--json") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) >= 40
    assert rows[0]["family"] == "file"
    out = tmp_path / "out.mp4"
    words: list[Any] = ["attack", plain, "-o", out, "-a", "h264_crf28", "--strength", 35, "--json"]
    assert _run(monkeypatch, *words) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["strength"], done["found"], done["stripped"]) == (35, False, None)
    with av.open(str(out)) as container:
        assert container.metadata["comment"] == "sorakit robustness test: h264_crf28"
    assert _run(monkeypatch, "attack", plain, "-o", out) == 2
    assert _run(monkeypatch, "attack", plain, "-o", tmp_path / "all", "--all", "--strength", 30) == 2
    assert not (tmp_path / "all").exists()
    assert _run(monkeypatch, "attack", plain, "-o", out, "-a", "mirror") == 2
