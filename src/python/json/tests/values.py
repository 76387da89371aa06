# The odd values of the tables, and the modules that their expressions name.
import array
import collections
import datetime
import decimal
import enum
import itertools
import json
import pathlib
import struct
import uuid

import numpy
import pandas


def nested(depth, kind=list):
    value = 0
    for _ in range(depth):
        value = {"a": value} if kind is dict else kind([value])
    return value


def circular(kind):
    value = kind()
    inner = [value]
    value.update(a=inner) if kind is dict else value.append(inner)
    return value


def circular_tuple():
    value = ([],)
    value[0].append(value)
    return value


def circular_generator():
    def generate():
        yield 1
        yield generator
    generator = generate()
    return generator


def circular_array():
    value = numpy.empty(2, dtype=object)
    value[0] = value
    return value


class Float(float):
    def __repr__(self):
        return "no number"

    def __float__(self):
        return 3.5


class Int(int):
    def __int__(self):
        return 77

    def __str__(self):
        return "no number"


class Text(str):
    def __str__(self):
        return "other text"


class Decimal(decimal.Decimal):
    def __str__(self):
        return "no number"


class List(list):
    def __iter__(self):
        return iter([9, 8])

    def __len__(self):
        return 0


class Tuple(tuple):
    def __iter__(self):
        return iter([9, 8])


class Dict(dict):
    items_ = [("p", 1), (2, "q")]

    def items(self):
        return self.items_


class ListPairs(Dict):
    items_ = [["p", 1]]


class LongPairs(Dict):
    items_ = [("p", 1, 2)]


class NoItems(Dict):
    items_ = 5


class EmptyLooking(dict):
    def __len__(self):
        return 0


class ListOfFields(list):
    def _asdict(self):
        return {"fields": True}


class Fields:
    def __init__(self, fields):
        self.fields = fields

    def _asdict(self):
        if isinstance(self.fields, Exception):
            raise self.fields
        return self.fields


class FieldsWithArgument:
    def _asdict(self, argument):
        return {}


class FieldsProperty:
    @property
    def _asdict(self):
        raise ValueError("not now")


class FieldsValue:
    _asdict = 5


class Pretender:
    """Has every method that a careless writer would call."""

    def tolist(self):
        raise AssertionError("tolist was called")

    to_dict = to_numpy = isoformat = item = tolist


class Colour(enum.Enum):
    RED = "red"
    DEEP = (1, [2.5, None])


class Level(enum.IntEnum):
    HIGH = 3


class Name(str, enum.Enum):
    FIRST = "first"


class Ouroboros(enum.Enum):
    SELF = 1

    @property
    def value(self):
        return self


class Date(datetime.date):
    def isoformat(self):
        return self


class Failing(datetime.date):
    def isoformat(self):
        raise RuntimeError("no text today")


Point = collections.namedtuple("Point", "x y")


def ordered():
    value = collections.OrderedDict([("a", 1), ("b", 2)])
    value.move_to_end("a")
    return value


def failing_generator():
    yield 1
    raise LookupError("after one")


def mutated_list(change):
    value = [1, "two", 3.0]
    value.append(Meddler(lambda: change(value)))
    value.extend(str(number) * 3 for number in range(50))
    return value


def mutated_dict(change):
    value = {"a": 1}
    value["b"] = Meddler(lambda: change(value))
    value.update((str(number), [number]) for number in range(50))
    return value


def mutated_array(change):
    value = numpy.array([None] * 60, dtype=object)
    value[3] = Meddler(lambda: change(value))
    return value


class Meddler:
    def __init__(self, meddle):
        self.meddle = meddle

    def _asdict(self):
        self.meddle()
        return {}


def grow(value):
    value.append(Meddler(lambda: grow(value)))
