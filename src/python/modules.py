"""Modules that scripts and functions may import without anything being installed: they come with the
server, and stand before an installed package of the same name."""

import sys
from importlib.machinery import ModuleSpec

# Source texts by the module's name; packages end with a dot.
SOURCES = {}


class _Finder:
    """Finds and loads what is in SOURCES."""

    def find_spec(self, name, path=None, target=None):
        package = name + "." in SOURCES
        if package or name in SOURCES:
            return ModuleSpec(name, self, origin=_origin(name), is_package=package)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        name = module.__spec__.name
        exec(compile(self.get_source(name), _origin(name), "exec", dont_inherit=True), module.__dict__)

    def get_source(self, name):
        return SOURCES[name if name in SOURCES else name + "."]


def _origin(name):
    return f"<tabpy-rs {name}>"


def offer(sources):
    SOURCES.update(sources)
    sys.meta_path.insert(0, _Finder())
