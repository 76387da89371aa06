"""The `tabpy` package within a worker: calling deployed functions, and TabPy's tools for deploying them. What else
an installed TabPy has is found where that is."""

import importlib.machinery as _machinery

from _tabpy_rs_functions import TABPY as current

__version__ = "2.16.0"

query = current.query

_installed = _machinery.PathFinder.find_spec("tabpy")
__path__ = list(_installed.submodule_search_locations or ()) if _installed is not None else []
