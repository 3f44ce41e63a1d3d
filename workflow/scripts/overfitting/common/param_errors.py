"""One-line messages for pydantic's errors in `params.yaml`, with key, value and range."""

import difflib
import reprlib
from typing import Any

SHORT = reprlib.Repr()
SHORT.maxlevel = 1  # abbreviate nested values in messages
Schema = dict[str, Any]


def drop_redundant(errors: list[Any]) -> list[Any]:
    """Drop the error of a missing key if a misspelt key next to it explains the error."""
    misspelt = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    return [
        error
        for error in errors
        if error["type"] != "missing"
        or not any(
            error["loc"][:-1] == other[:-1] and _most_similar(other[-1], [error["loc"][-1]])
            for other in misspelt
        )
    ]


def format_error(error: Any, schema: Schema) -> str:
    """Return a one-line message for an error: key, value and what is allowed.

    Args:
        error: an entry of `ValidationError.errors()`.
        schema: the JSON Schema of the whole file.
    """
    if error["type"] == "value_error":  # raised by a validator of Params; complete as it is
        return str(error["ctx"]["error"])
    value = SHORT.repr(error["input"])
    if error["type"] == "invalid_key":
        parent = ".".join(map(str, error["loc"]))
        return f"{parent}: the key {value} is not a string; put it in quotes"
    if error["loc"][-1:] == ("[key]",):
        parent = ".".join(error["loc"][:-2])
        return f"{parent}: {value} is not a valid name; use letters, digits, _ and -"
    location = list(error["loc"])
    key = ".".join(str(part) for part in location) or "the file"
    if error["type"] == "missing":
        return f"{key} is missing; add it ({_allowed(location, schema)})"
    if error["type"] == "extra_forbidden":
        known = _schema_at(location[:-1], schema).get("properties", {})
        return f"{key} = {value}: unknown key{did_you_mean(location[-1], known)}"
    return f"{key} = {value}: must be {_allowed(location, schema)}"


def did_you_mean(word: Any, known: Any) -> str:
    """Return a suggestion to append to a message: the most similar known word, and all of them."""
    similar = _most_similar(word, known)
    return f"{f'; did you mean {similar[0]!r}?' if similar else ''} (known: {', '.join(known)})"


def _most_similar(word: Any, known: Any) -> list[str]:
    return difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)


def _schema_at(location: list[Any], schema: Schema) -> Schema:
    """Return the part of the JSON Schema that describes the value at a location."""
    node = schema
    for part in [None, *location]:
        if isinstance(part, int) and "items" in node:
            node = node["items"]
        elif part is not None:
            any_name: Any = next(iter(node.get("patternProperties", {}).values()), {})
            node = node.get("properties", {}).get(part, any_name)
        if "anyOf" in node:  # an optional value: the other choice is null
            node = next(choice for choice in node["anyOf"] if choice.get("type") != "null")
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _allowed(location: list[Any], schema: Schema) -> str:
    """Describe in words which values the schema allows at a location."""
    node = _schema_at(location, schema)
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    if "pattern" in node:
        return "a name of up to 100 letters, digits, _ and -"
    words = {
        "integer": "an integer",
        "number": "a number",
        "boolean": "true or false",
        "string": "a string",
        "array": "a list with at least 1 entry",
        "object": "a mapping of " + ", ".join(node.get("properties", ["names"])),
    }[node.get("type", "object")]
    bounds = [
        f"{phrase} {node[bound]:g}" if node[bound] < 1e6 else f"{phrase} {node[bound]}"
        for bound, phrase in [
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        ]
        if bound in node
    ]
    return " ".join([words, " and ".join(bounds)]).strip()
