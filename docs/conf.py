"""How Sphinx builds the documentation: ``make docs``."""

import os

import fastgd

os.environ["MPLBACKEND"] = "Agg"

project = "fastgd"
copyright = "the fastgd developers"
version = release = fastgd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["gallery/*"]  # sphinx-gallery turns them into pages in auto_gallery
html_theme = "pydata_sphinx_theme"
html_title = f"fastgd {version}"
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc", "sg_download_links"],
}
html_show_sourcelink = False

default_role = "autolink"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# sphinx-gallery's settings contain functions, which Sphinx cannot cache.
suppress_warnings = ["config.cache"]

# The docstrings have the types.
autodoc_typehints = "none"
numpydoc_show_class_members = False
# Names that differ only in case (`Adam`, `adam`) would share a file on case-insensitive systems.
methods = [
    name
    for name in fastgd.__all__
    if name.islower() and any(name == other.lower() != other for other in fastgd.__all__)
]
autosummary_filename_map = {f"fastgd.{name}": f"fastgd.{name}-method" for name in methods}

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "write_computation_times": False,
    "show_signature": False,
    "matplotlib_animations": False,
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("fastgd",),
    "min_reported_time": 5,
    "image_srcset": ["2x"],
}


def link_to_source(app, docname, source):
    """Redirect links to folders, which Sphinx cannot show: to the built gallery, and to
    `__init__.py` of a source folder.
    """
    source[0] = source[0].replace("](gallery)", "](auto_gallery/index.rst)")
    source[0] = source[0].replace("](../gallery)", "](../auto_gallery/index.rst)")
    for folder in ("fastgd/methods", "fastgd/kernels", "bench"):
        source[0] = source[0].replace(f"](../{folder})", f"](../{folder}/__init__.py)")


def setup(app):
    app.connect("source-read", link_to_source)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
