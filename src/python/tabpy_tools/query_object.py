"""What archives hold: an object that answers queries."""

import abc
import json
import os
import shutil

_ARCHIVE = "pickle_archive"


class QueryObject(abc.ABC):
    """Something that can be deployed: what it answers, and what it says of itself."""

    def __init__(self, description=""):
        self.description = description

    @abc.abstractmethod
    def query(self, input):
        """Answers one query."""

    @abc.abstractmethod
    def get_docstring(self):
        """The text that explains the object."""

    @abc.abstractmethod
    def get_methods(self):
        """A list of dicts, one for each method that answers queries."""

    def get_dependencies(self):
        """Names of the functions that this one queries."""
        return []

    def save(self, path):
        """Writes an archive into the folder `path`, in place of whatever is there."""
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.remove(path)
        os.makedirs(path)
        import cloudpickle

        with open(os.path.join(path, _ARCHIVE), "wb") as file:
            cloudpickle.dump(self, file)

    @classmethod
    def load(cls, path):
        """The object whose archive lies in the folder `path`."""
        import cloudpickle

        folder = os.path.abspath(os.path.expanduser(path))
        with open(os.path.join(folder, _ARCHIVE), "rb") as file:
            return cloudpickle.load(file)

    @classmethod
    def _make_serializable(cls, result):
        try:
            json.dumps(result)
        except TypeError:
            raise TypeError(f"Result from object query is not json serializable: {result}") from None
        return result
