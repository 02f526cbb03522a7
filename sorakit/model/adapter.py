"""LoRA adapters (Hu et al. 2021, arXiv:2106.09685) through PEFT, kept as safetensors alone.

Diffusers' mixin gives `add_adapter`, `disable_lora`, `enable_lora` and `set_adapters`; here only what reads
and writes files is narrowed.
"""

from pathlib import Path
from typing import Any

from diffusers.loaders.peft import PeftAdapterMixin
from torch import Tensor

from sorakit.errors import ModelError, UsageError

__all__ = ["AdapterMixin"]


class AdapterMixin(PeftAdapterMixin):
    """Adapters for a diffusers model; the base stays as it is and returns when they are off."""

    def save_lora_adapter(  # type: ignore[override]  # the same names, with types
        self, save_directory: str | Path, adapter_name: str = "default", **kwargs: Any
    ) -> None:
        """Write one adapter and its settings into a folder as safetensors; raises `UsageError`."""
        if not kwargs.pop("safe_serialization", True):
            raise UsageError("`safe_serialization` must be true: adapters are kept as safetensors alone")
        super().save_lora_adapter(str(save_directory), adapter_name, safe_serialization=True, **kwargs)

    def load_lora_adapter(  # type: ignore[override]
        self,
        pretrained_model_name_or_path_or_dict: str | Path | dict[str, Tensor],
        prefix: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Put the adapter of a folder (or tensors by name) on; nothing is fetched from the net.

        `prefix`: what the names begin with, `None` as `save_lora_adapter` writes them. Raises `ModelError`.
        """
        given = pretrained_model_name_or_path_or_dict
        options = {"local_files_only": True} | kwargs | {"use_safetensors": True}
        try:
            super().load_lora_adapter(given if isinstance(given, dict) else str(given), prefix, **options)
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ModelError(f"the adapter does not load: {error}; give a folder of safetensors") from error
