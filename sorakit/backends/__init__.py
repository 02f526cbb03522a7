"""Other people's video models, run through diffusers: prompts or pictures in, a `Clip` in memory out.

`vetting` says which folders may be loaded at all, `source` finds them and says who made them, `families`
knows what each pipeline calls its arguments, `placing` fits them onto a device, `pictures` converts.
Importing this package imports neither torch nor diffusers.
"""

from sorakit.backends.diffusers import ForeignModel, load_foreign

__all__ = ["ForeignModel", "load_foreign"]
