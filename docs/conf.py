"""How the documentation is built. Two reference pages are written from the code itself."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import generate  # noqa: E402  found through the line above

import sampan  # noqa: E402

generate.write(HERE / "_generated")

project = "Sampan"
author = "the Sampan authors"
copyright = "the Sampan authors, Apache License 2.0"
version = release = sampan.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_default_options = {"undoc-members": True, "member-order": "bysource"}
napoleon_use_ivar = True
default_role = "code"  # what docstrings put in single backquotes
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = "Sampan"
html_show_sourcelink = False
html_copy_source = False
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # signatures name types that have no page
