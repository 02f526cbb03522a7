"""The world's closed vocabulary as a Hugging Face tokenizer, with the same ids as `sorakit.world.encode`."""

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import Lowercase
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from sorakit.world.caption import VOCABULARY

__all__ = ["build_tokenizer"]


def build_tokenizer(length: int = 16) -> PreTrainedTokenizerFast:
    """Words to ids; padding is 0 and anything unknown 1.

    >>> build_tokenizer()("a red circle")["input_ids"][:3]
    [2, 9, 17]
    """
    padding, unknown = VOCABULARY[:2]
    raw = Tokenizer(WordLevel({w: i for i, w in enumerate(VOCABULARY)}, unk_token=unknown))
    raw.normalizer = Lowercase()
    raw.pre_tokenizer = Sequence([WhitespaceSplit(), Split(",", "isolated")])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=raw, pad_token=padding, unk_token=unknown, model_max_length=length
    )
