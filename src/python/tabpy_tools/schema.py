"""JSON schemas of functions, made from an example of what goes in and what comes out."""


def generate_schema(input, output, input_description=None, output_description=None):
    """What may be given to `deploy` as a function's schema."""
    return {
        "input": _described(input, input_description),
        "sample": input,
        "output": _described(output, output_description),
    }


def _described(example, description):
    schema = _as_schema([example])
    if description is None:
        return schema
    properties = schema.get("properties")
    if (properties is not None) != isinstance(description, dict):
        raise Exception(f"{example} and {description} do not match")
    if properties is None:
        schema["description"] = description
        return schema
    for key, text in description.items():
        if key not in properties:
            raise Exception(f"{key} not found in {example}")
        properties[key]["description"] = text
    return schema


def _as_schema(examples):
    """The one schema that all the examples fit."""
    kinds = {}
    for example in examples:
        kinds.setdefault(_kind(example), []).append(example)
    if "number" in kinds:
        kinds.pop("integer", None)
    plain = sorted(kind for kind in kinds if kind not in ("array", "object"))
    schemas = []
    if plain:
        schemas.append({"type": plain[0] if len(plain) == 1 else plain})
    schemas += [_SHAPES[kind](kinds[kind]) for kind in kinds if kind in _SHAPES]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas} if schemas else {}


def _kind(example):
    if example is None:
        return "null"
    for kind, types in _KINDS:
        if isinstance(example, types):
            return kind
    raise TypeError(f"a {type(example).__name__} has no place in a JSON schema")


_KINDS = [
    ("boolean", bool),
    ("integer", int),
    ("number", float),
    ("string", str),
    ("object", dict),
    ("array", (list, tuple)),
]


def _array(examples):
    items = [item for example in examples for item in example]
    return {"type": "array", "items": _as_schema(items)} if items else {"type": "array"}


def _object(examples):
    keys = list(dict.fromkeys(key for example in examples for key in example))
    schema = {"type": "object"}
    if keys:
        schema["properties"] = {
            key: _as_schema([example[key] for example in examples if key in example]) for key in keys
        }
    required = sorted(key for key in keys if all(key in example for example in examples))
    if required:
        schema["required"] = required
    return schema


_SHAPES = {"array": _array, "object": _object}
