# Values and texts that the targets compare, every type and every bit told.
import json
import math
import struct
import sys

import numpy
import simplejson

sys.setrecursionlimit(5000)


def describe(value):
    if type(value) is float:
        return "nan" if value != value else struct.pack(">d", value).hex()
    if type(value) is list:
        return "[" + ", ".join(map(describe, value)) + "]"
    if type(value) is dict:
        return "{" + ", ".join(f"{describe(key)}: {describe(item)}" for key, item in value.items()) + "}"
    return f"{type(value).__name__} {ascii(value)}"


def loads(data):
    try:
        return describe(json.loads(data.decode("utf-8")))
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def dumps(value):
    try:
        return simplejson.dumps(value, ignore_nan=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


class Bytes:
    """Values made of bytes, whatever those are."""

    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken + bytes(count - len(taken))

    def number(self, size=1):
        return int.from_bytes(self.take(size), "little")

    def value(self, depth=0):
        kind = self.number() % (14 if depth < 40 else 10)
        match kind:
            case 0:
                return (None, True, False, math.nan, math.inf, -math.inf, 0, -0.0)[self.number() % 8]
            case 1:
                return struct.unpack("<d", self.take(8))[0]
            case 2:
                return struct.unpack("<h", self.take(2))[0] / 100
            case 3:
                return int.from_bytes(self.take(1 + self.number() % 12), "little", signed=True)
            case 4:
                return self.take(self.number()).decode("latin-1")
            case 5:
                return self.take(self.number() % 40 * 2).decode("utf-16-le", "surrogatepass" if self.number() % 2 else "replace")
            case 6:
                units = self.take(self.number() % 20 * 4)
                return "".join(chr(unit % 0x110000) for (unit,) in struct.iter_unpack("<I", units))
            case 7:
                return float(self.number(3)) * 10.0 ** (self.number() % 40 - 20)
            case 8:
                name = ("<f8", "<f4", "<f2", "<i8", "<i4", "<i2", "i1", "<u8", "<u4", "<u2", "u1", ">f8", ">i4")
                dtype = numpy.dtype(name[self.number() % len(name)])
                count = self.number() % 40
                array = numpy.frombuffer(self.take(count * dtype.itemsize), dtype)
                shape = self.number() % 4
                if shape == 1 and count % 2 == 0:
                    array = array.reshape(2, -1)
                elif shape == 2:
                    array = array[::-2]
                elif shape == 3 and count % 4 == 0:
                    array = array.reshape(-1, 4).T
                return array
            case 9:
                return self.take(self.number() % 8).hex()
            case 10 | 11:
                return [self.value(depth + 1) for _ in range(self.number() % 12)]
            case 12:
                return tuple(self.value(depth + 1) for _ in range(self.number() % 6))
            case _:
                return {self.key(): self.value(depth + 1) for _ in range(self.number() % 6)}

    def key(self):
        match self.number() % 6:
            case 0:
                return self.number() - 100
            case 1:
                return struct.unpack("<d", self.take(8))[0]
            case 2:
                return (None, True, False)[self.number() % 3]
            case _:
                return self.take(self.number() % 10).decode("latin-1")


def make(data):
    return Bytes(data).value()


def plain(value):
    """As simplejson has to get it: arrays as lists."""
    if isinstance(value, numpy.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value
