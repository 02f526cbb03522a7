"""Settings from the environment: a value that cannot be is named in one line."""

from pathlib import Path

import pytest

from sorakit.config import Limits, Settings
from sorakit.errors import UsageError


@pytest.mark.parametrize("name", list(Limits.model_fields))
@pytest.mark.parametrize("value", ["nan", "inf", "0", "-1"])
def test_limits_that_limit_nothing_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"SORAKIT_LIMITS__{name.upper()}"
    monkeypatch.setenv(variable, value)
    with pytest.raises(UsageError, match=f"{variable}: .*{value}"):
        Settings()


def test_a_tilde_is_the_users_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SORAKIT_HOME", "~/kit")
    monkeypatch.setenv("SORAKIT_SIGNING_KEY", "~/key.pem")
    settings = Settings()
    assert (settings.home, settings.signing_key) == (tmp_path / "kit", tmp_path / "key.pem")
    monkeypatch.setenv("SORAKIT_HOME", "~nobody-of-this-name/kit")
    with pytest.raises(UsageError, match=r"SORAKIT_HOME.*folder"):
        Settings()
