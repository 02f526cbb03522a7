"""The site: `make docs` renders the course with its outputs, the guides, cards and the API reference.

The source folder is the repository, so that links between README, docs, notebooks and cards are the same
here, in a clone and in a working copy of the course.
"""

project = "sorakit"
author = "the sorakit authors"
root_doc = "docs/index"
extensions = ["myst_nb", "sphinx_design", "sphinx.ext.autodoc"]
include_patterns = [
    "README.md",
    "docs/**",
    "notebooks/*.ipynb",
    "sorakit/weights/*/MODEL_CARD.md",
    "detectors/models/*.md",
]
exclude_patterns = ["docs/_build", "**/.ipynb_checkpoints", "notebooks/.cache"]

html_theme = "sphinx_book_theme"
html_title = "sorakit"
html_theme_options = {"show_toc_level": 2, "use_download_button": True, "navbar_persistent": []}
html_context = {"default_mode": "auto"}
html_extra_path = ["_site"]

myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True

default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {  # scikit-learn's own, with links that lead nowhere here
    "exclude-members": "set_fit_request, set_score_request, set_transform_request",
}
