"""Publishing functions from a Python file: `from tabpy_rs import publish`."""

import inspect

__all__ = ["publish"]


def publish(function=None, *, name=None, public=False, description=None, schema=None):
    """Marks a top-level function for publishing. Where a file marks any, only those are published.

    name: what it is called by; its own name otherwise. public: whether Tableau shows it to whoever builds a
    view. description: the docstring otherwise. schema: JSON schema of input and output, as
    `tabpy.tabpy_tools.schema.generate_schema` makes it; the type hints' otherwise."""
    for argument, value, kind in (("name", name, str), ("description", description, str), ("schema", schema, dict)):
        if value is not None and not isinstance(value, kind):
            raise TypeError(f"publish takes a {kind.__name__} as {argument}, not a {type(value).__name__}")
    if not isinstance(public, bool):
        raise TypeError(f"publish takes True or False as public, not a {type(public).__name__}")

    def mark(function):
        if not inspect.isroutine(function):
            raise TypeError(f"publish marks functions, not a {type(function).__name__}")
        told = {"name": name, "public": public, "description": description, "schema": schema}
        function.__published__ = [told, *getattr(function, "__published__", [])]
        return function

    return mark if function is None else mark(function)
