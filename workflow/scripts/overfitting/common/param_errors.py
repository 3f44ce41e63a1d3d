"""One-line messages for pydantic's errors in `params.yaml`, with key and value."""

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

SHORT = reprlib.Repr()
SHORT.maxlevel = 1  # abbreviate nested values in messages


def error_lines(invalid: ValidationError, schema: dict[str, Any]) -> list[str]:
    """Return a one-line message per error: key, value and, in pydantic's words, what is allowed.

    A misspelt key is one error, although the key that was meant is missing next to it.

    Args:
        invalid: the errors in the content of the file.
        schema: the JSON Schema of the whole file.
    """
    errors: list[Any] = invalid.errors()
    unknown = [error["loc"] for error in errors if error["type"] == "extra_forbidden"]
    return [
        _line(error, schema)
        for error in errors
        if error["type"] != "missing"
        or not any(
            error["loc"][:-1] == other[:-1] and _most_similar(other[-1], error["loc"][-1:])
            for other in unknown
        )
    ]


def did_you_mean(word: Any, known: Iterable[str]) -> str:
    """Return a suggestion to append to a message: the most similar known word, and all of them."""
    similar = _most_similar(word, known)
    return f"{f'; did you mean {similar[0]!r}?' if similar else ''} (known: {', '.join(known)})"


def _line(error: Any, schema: dict[str, Any]) -> str:
    if error["type"] == "value_error":  # raised by a validator of Params; complete as it is
        return str(error["ctx"]["error"])
    key = " ".join(".".join(map(str, error["loc"])).split())  # a key may contain line breaks
    value = "" if error["type"] == "missing" else f" = {SHORT.repr(error['input'])}"
    line = f"{key or 'the file'}{value}: {error['msg'][0].lower()}{error['msg'][1:]}"
    if error["type"] == "extra_forbidden":
        line += did_you_mean(error["loc"][-1], _known_keys(error["loc"][:-1], schema))
    return line


def _most_similar(word: Any, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)


def _known_keys(location: tuple[Any, ...], schema: dict[str, Any]) -> list[str]:
    """Return the keys that the JSON Schema knows in the mapping at a location."""
    node = schema
    for part in location:
        [node] = node.get("patternProperties", {}).values() or [node["properties"][part]]
        node = node.get("anyOf", [node])[0]  # an optional value: the other choice is null
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node["properties"])
