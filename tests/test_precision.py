from dataclasses import replace

import pytest
import torch

from sorakit import precision
from sorakit.train.recipe import RECIPES

TINY = RECIPES["tiny"]


@pytest.fixture(params=[True, False], ids=["fast", "slow"])
def fast(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """A processor on which bfloat16 takes half as long as float32, and one where it takes twice that."""
    seconds = {torch.bfloat16: 1.0 if request.param else 4.0, torch.float32: 2.0}
    monkeypatch.setattr(precision, "_seconds", seconds.__getitem__)
    precision.has_fast_bf16.cache_clear()
    yield request.param
    precision.has_fast_bf16.cache_clear()


def test_products_are_bfloat16_where_that_is_fast(fast: bool) -> None:
    assert precision.has_fast_bf16("cpu") == fast
    assert precision.product_dtype(torch.device("cpu")) == (torch.bfloat16 if fast else torch.float32)
    assert precision.suited(TINY, "cpu") == (TINY if fast else replace(TINY, bf16=False))


def test_nobody_gets_bfloat16_who_did_not_ask(fast: bool) -> None:
    plain = replace(TINY, bf16=False)
    assert precision.suited(plain, "cpu") is plain


def test_this_machine_is_measured() -> None:
    assert 0 < precision._seconds(torch.float32) < 10
    assert precision.has_fast_bf16("meta")  # what has no products to time is trusted
