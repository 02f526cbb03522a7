"""The application against its own description, and against C2PA's: schemathesis, in process, seeded."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    positive_data_acceptance,
    status_code_conformance,
)

from sorakit.api.app import create_app
from sorakit.api.limits import Limits
from sorakit.registry.record import Record
from sorakit.registry.repo import Registry

FILE = "c2pa_soft_binding_resolution_openapi_2.2.json"
EXAMPLES = hypothesis.settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """The application over a registry of one manifest, with limits that a test does not reach."""
    url = f"sqlite:///{tmp_path_factory.mktemp('contract') / 'r.db'}"
    with Registry(url) as registry:
        registry.add_pending(
            Record("urn:c2pa:1", b"store", "0" * 64, bindings=(("io.github.sorakit.lattice.1", "0f" * 8),))
        )
        registry.confirm("urn:c2pa:1")
    with Registry(url, read_only=True) as registry:
        yield create_app(registry, limits=Limits(per_minute=10**9), hosts=("testserver", "localhost"))


@pytest.fixture(scope="module")
def own(app: object) -> object:
    """What the application says of itself."""
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.fixture(scope="module")
def theirs(app: object) -> object:
    """C2PA's file, with this application behind it."""
    path = Path(__file__).parents[3] / "shared" / "data" / "c2pa" / FILE
    if not path.is_file():
        pytest.skip("no ../shared/data beside this checkout")
    schema = schemathesis.openapi.from_path(str(path))
    schema.app = app
    return schema


def throw(schema: Any, mode: GenerationMode, excluded: list[Any]) -> int:
    """Send each operation what fits its description, or does not; how many requests were made."""
    sent = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.path_parameters):
            continue  # nothing that could be wrong

        @hypothesis.seed(1)
        @EXAMPLES
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def run(case: schemathesis.Case) -> None:
            nonlocal sent
            sent += 1
            upload = [positive_data_acceptance] if case.path.endswith("byContent") else []
            case.call_and_validate(excluded_checks=[*excluded, *upload])  # bytes that are no video get 415

        run()
    return sent


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_own_description(own: object, mode: GenerationMode) -> None:
    """All of schemathesis's checks, what fits and what does not."""
    assert throw(own, mode, []) >= 8


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_c2pa_description(theirs: object, mode: GenerationMode) -> None:
    """Whatever 200 brings is as their file says, and nothing fails."""
    loose = [
        positive_data_acceptance,  # their strings are open; 400 is what they name for nonsense
        status_code_conformance,  # 401, 408, 413, 429, 503 besides theirs
        ignored_auth,  # a public resolver asks for no token
    ]
    assert throw(theirs, mode, loose) >= 8
