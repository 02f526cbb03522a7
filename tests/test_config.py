"""Settings from the environment: a value that cannot be is named in one line."""

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
