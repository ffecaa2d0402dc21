"""What the mapper and the judge of rows say, in the words of pages. Pure.

They speak to programs: of fields by their names, of bounds as a decoder does.
"""

import re

from fitstream.gateway.view import words
from fitstream.merge import NAMES

LABELS = {
    "slot": "Time", "date": "Date", "time": "Time of day", "customer": "Customer",
    "tz_offset_min": "Offset from UTC (min)", "rev": "Revision", "deleted": "Deleted",
    "ignore": "Leave out",
}  # fmt: skip
_BOUNDS = {">=": "at least", "<=": "at most"}
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "text"}
_QUOTED = re.compile(r"""('[^']*'|"[^"]*")""")
_FIELDS = re.compile(
    rf"\b({'|'.join([*(each for each in NAMES if '_' in each), 'tz_offset_min'])})\b"
)
_BOUND = re.compile(r"^(\w+): Expected `\w+` (>=|<=) (-?[\d.]+)")
_TYPE = re.compile(r"^(\w+): Expected `(\w+)(?: \| null)?`, got")


def label(name: str) -> str:
    """A field's label, with its unit where it has one."""
    if name in LABELS:
        return LABELS[name]
    unit = words.unit(name)
    return f"{words.metric(name)} ({unit})" if unit else words.metric(name)


def spoken(message: str) -> str:
    """The sentence, with labels instead of the names of fields; quoted names stay."""
    bound, kind = _BOUND.match(message), _TYPE.match(message)
    if bound:
        name, sign, value = bound.groups()
        return f"{label(name)} must be {_BOUNDS[sign]} {words.number(float(value))}."
    if kind and kind[2] in _KINDS:
        return f"{label(kind[1])} must be {_KINDS[kind[2]]}."
    parts = _QUOTED.split(message)
    said = [
        part if at % 2 else _FIELDS.sub(lambda found: label(found[0]).lower(), part)
        for at, part in enumerate(parts)
    ]
    return words.capital("".join(said))
