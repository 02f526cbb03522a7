import pytest

from sorakit.errors import ModelError
from sorakit.model.format import FORMAT, check_format


@pytest.mark.parametrize("found", [FORMAT, "1.9", "0.7"])
def test_formats_up_to_this_major_version_are_read(found: str) -> None:
    check_format(found, "a model")


@pytest.mark.parametrize("found", ["2.0", "17.3"])
def test_a_newer_major_version_is_refused(found: str) -> None:
    with pytest.raises(ModelError, match=rf"a model has format {found}, .* up to 1\.x"):
        check_format(found, "a model")


@pytest.mark.parametrize("found", ["", "two", "1", 3, None, "1.0; rm", "1" * 400])
def test_what_is_no_format_is_refused(found: object) -> None:
    with pytest.raises(ModelError, match="must be like"):
        check_format(found, "a model")
