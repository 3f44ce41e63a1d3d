"""What is wrong in `params.yaml`: pydantic's errors in a line, with key, value and range."""

import difflib
import reprlib
from typing import Any

SHORT = reprlib.Repr()
SHORT.maxlevel = 1  # a message shows a value, not all that is in it
Schema = dict[str, Any]


def without_consequences(faults: list[Any]) -> list[Any]:
    """Leave out a missing key where a misspelt one beside it explains that."""
    misspelt = [fault["loc"] for fault in faults if fault["type"] == "extra_forbidden"]
    return [
        fault
        for fault in faults
        if fault["type"] != "missing"
        or not any(
            fault["loc"][:-1] == other[:-1] and _nearest(other[-1], [fault["loc"][-1]])
            for other in misspelt
        )
    ]


def in_one_line(fault: Any, schema: Schema) -> str:
    """Say one of pydantic's errors in a line: key, value, what is allowed.

    Args:
        fault: an entry of `ValidationError.errors()`.
        schema: the JSON Schema of the whole file.
    """
    if fault["type"] == "value_error":  # ours, from a validator: it says everything itself
        return str(fault["ctx"]["error"])
    value = SHORT.repr(fault["input"])
    if fault["type"] == "invalid_key":
        return f"{'.'.join(map(str, fault['loc']))}: the key {value} is no text; write it in quotes"
    if fault["loc"][-1:] == ("[key]",):
        return f"{'.'.join(fault['loc'][:-2])}: {value} is no name; use letters, digits, _ and -"
    location = list(fault["loc"])
    key = ".".join(str(part) for part in location) or "the file"
    if fault["type"] == "missing":
        return f"{key} is missing; add it ({_allowed(location, schema)})"
    if fault["type"] == "extra_forbidden":
        known = _schema_at(location[:-1], schema).get("properties", {})
        return f"{key} = {value}: unknown key{did_you_mean(location[-1], known)}"
    return f"{key} = {value}: must be {_allowed(location, schema)}"


def did_you_mean(word: Any, known: Any) -> str:
    near = _nearest(word, known)
    return f"{f'; did you mean {near[0]!r}?' if near else ''} (known: {', '.join(known)})"


def _nearest(word: Any, known: Any) -> list[str]:
    return difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.5)


def _schema_at(location: list[Any], schema: Schema) -> Schema:
    """Follow a fault's location through the JSON Schema to what describes that value."""
    here = schema
    for part in [None, *location]:
        if isinstance(part, int) and "items" in here:
            here = here["items"]
        elif part is not None:
            of_any_name: Any = next(iter(here.get("patternProperties", {}).values()), {})
            here = here.get("properties", {}).get(part, of_any_name)
        if "anyOf" in here:  # an optional value: the other choice is null
            here = next(choice for choice in here["anyOf"] if choice.get("type") != "null")
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rsplit("/", 1)[1]]
    return here


def _allowed(location: list[Any], schema: Schema) -> str:
    """Say in words which values the schema allows at a location."""
    here = _schema_at(location, schema)
    if "enum" in here:
        return "one of " + ", ".join(here["enum"])
    if "pattern" in here:
        return "a name of up to 100 letters, digits, _ and -"
    words = {
        "integer": "a whole number",
        "number": "a number",
        "boolean": "true or false",
        "string": "a text",
        "array": "a list with at least 1 entry",
        "object": "a mapping of " + ", ".join(here.get("properties", ["names"])),
    }[here.get("type", "object")]
    bounds = [
        f"{phrase} {here[bound]:g}" if here[bound] < 1e6 else f"{phrase} {here[bound]}"
        for bound, phrase in [
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
            ("exclusiveMaximum", "below"),
        ]
        if bound in here
    ]
    return " ".join([words, " and ".join(bounds)]).strip()
