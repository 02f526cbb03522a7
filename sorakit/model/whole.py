"""Loading a network's weights whole, or not at all: diffusers fills those that a file lacks with noise."""

from typing import Any, Self, cast

from sorakit.errors import ModelError

__all__ = ["WholeMixin"]


class WholeMixin:
    """For a diffusers model, named before `ModelMixin`."""

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Self:
        """As diffusers' own; raises `ModelError` when the files lack a weight."""
        wanted = kwargs.pop("output_loading_info", False)
        load = cast(Any, super()).from_pretrained
        model, report = load(*args, output_loading_info=True, **kwargs)
        if missing := sorted(map(str, report["missing_keys"])):
            raise ModelError(
                f"the files lack {len(missing)} weights of {cls.__name__}, such as {missing[0]}; "
                "copy the whole folder again"
            )
        return cast(Self, (model, report) if wanted else model)  # a pair where asked, as diffusers has it
