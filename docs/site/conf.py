"""How Sphinx makes the site of what ``build`` has laid out. Nothing is fetched from elsewhere."""

from __future__ import annotations

import wmhseg

project = "wmhseg"
author = copyright = "The wmhseg developers"
version = release = wmhseg.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"

# Headings are anchors as on GitHub, so that one link serves both.
myst_heading_anchors = 4
myst_enable_extensions = ["html_image"]
# Blocks without a language hold commands, or what was printed.
highlight_language = "none"

autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"wmhseg {release}"
html_static_path = ["_static"]
html_css_files = ["style.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1f5f8b", "color-brand-content": "#1f5f8b"},
    "dark_css_variables": {"color-brand-primary": "#7fc4f0", "color-brand-content": "#7fc4f0"},
}
