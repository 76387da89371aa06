"""A deployed function, as archives hold it."""

from .query_object import QueryObject


class CustomQueryObject(QueryObject):
    """Answers queries by calling a function."""

    def __init__(self, query, description=""):
        super().__init__(description)
        # Archives made elsewhere have the function under this name.
        self.custom_query = query

    def query(self, *args, **kwargs):
        return self._make_serializable(self.custom_query(*args, **kwargs))

    def get_docstring(self):
        text = getattr(self.custom_query, "__doc__", None)
        return text if isinstance(text, str) and text else "-- no docstring found in query function --"

    def get_methods(self):
        return [self.get_query_method()]

    def get_query_method(self):
        return {"method": "query"}
