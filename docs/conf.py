"""The site: `make docs` renders the course with its outputs, the guides, cards and the API reference.

The source folder is the repository, so that links between README, docs, notebooks and cards are the same
here, in a clone and in a working copy of the course.
"""

import os

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

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
exclude_patterns = ["docs/_build", "docs/jupyter_execute", "**/.ipynb_checkpoints", "**/.jupyter_cache"]

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
os.environ["SORAKIT_WIDGETS"] = "none"  # no kernel stands behind a page: text or stills in their place
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # they would come from elsewhere; text stands in for widgets
html_math_renderer = "mathml"

default_role = "literal"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_default_options = {  # scikit-learn's own, with links that lead nowhere here
    "exclude-members": "set_fit_request, set_score_request, set_transform_request",
}


def _inline(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div style="margin: 1em 0">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Formulas as MathML, which browsers show by themselves; MathJax would come from elsewhere."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
