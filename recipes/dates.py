"""When a row was: a column of numbers or dates, whose form all of its cells decide together."""

import datetime
import decimal
import itertools
import re
from collections.abc import Callable, Mapping, Sequence

from recipes.user_files import shown

Moment = tuple[bool, int | decimal.Decimal]
"""Whether a time zone is known, and what grows with time."""

_CLOCK = (
    r"(?:(?:[T ]|, ) *(?P<hour>\d{1,2})(?::(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<part>\d+))?)?)?"
    r" ?(?P<half>[AP]\.?M\.?)?(?: ?(?P<zone>Z|UTC|GMT|[+-]\d\d(?::?\d\d)?))?)?"
)


def _pattern(date: str) -> re.Pattern[str]:
    return re.compile(date + _CLOCK, re.IGNORECASE | re.ASCII)


_NUMBERS = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,4})?", re.IGNORECASE | re.ASCII)
_YEAR_FIRST = _pattern(r"(?P<year>\d{4})(?P<gap>[-/.])(?P<month>\d{1,2})(?:(?P=gap)(?P<day>\d{1,2}))?")
_DAY_FIRST = _pattern(r"(?P<day>\d{1,2})(?P<gap>[-/.])(?P<month>\d{1,2})(?P=gap)(?P<year>\d{4}|\d\d)")
_MONTH_FIRST = _pattern(r"(?P<month>\d{1,2})(?P<gap>[-/.])(?P<day>\d{1,2})(?P=gap)(?P<year>\d{4}|\d\d)")
_QUARTERS = re.compile(r"(?P<year>\d{4})[-/ ]?Q(?P<quarter>[1-4])", re.IGNORECASE | re.ASCII)
_QUARTER_FIRST = re.compile(r"Q(?P<quarter>[1-4])[-/ ]?(?P<year>\d{4})", re.IGNORECASE | re.ASCII)
_MONTHS = re.compile(r"(?P<month>\d{1,2})[-/](?P<year>\d{4})", re.ASCII)
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = (
    r"(?P<name>jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,? +)?"
_DAY, _YEAR = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?", r"(?P<year>\d{4}|\d\d)"
_NAMED_DAYS = (
    _pattern(rf"{_WEEKDAY}{_DAY}[-/., ]{{,2}}{_NAME}[-/., ]{{,2}}{_YEAR}"),
    _pattern(rf"{_WEEKDAY}{_NAME}[-/., ]{{1,2}}{_DAY}[-/., ]{{1,2}}{_YEAR}"),
    _pattern(rf"(?P<year>\d{{4}})[-/., ]{{,2}}{_NAME}[-/., ]{{,2}}{_DAY}"),
)
_NAMED_MONTHS = (
    re.compile(rf"{_NAME}[-/., ]{{,2}}{_YEAR}", re.IGNORECASE | re.ASCII),
    re.compile(rf"(?P<year>\d{{4}})[-/., ]{{,2}}{_NAME}", re.IGNORECASE | re.ASCII),
)


def first_wrong(cells: Sequence[str]) -> tuple[int, str] | None:
    """Looks for the first cell that is not later than the one before, or no time as the others are.

    Args:
        cells: A column, in the order of its rows.

    Returns:
        The place of the cell and what was expected there; None where all are in order.

    Raises:
        ValueError: Most cells are neither numbers nor dates.
    """
    best: tuple[int, list[Moment | None], str] = (-1, [], "")
    wrong: tuple[int, str] | None = None
    for name, read in FORMS.items():
        moments = [read(cell) for cell in cells]
        known = [moment for moment in moments if moment is not None]
        if len(known) == len(cells):
            found = _first_unordered(cells, known)
            if found is None:
                return None
            wrong = found if wrong is None or found[0] > wrong[0] else wrong
        if len(known) > best[0]:
            best = (len(known), moments, name)
    if wrong is not None:
        return wrong
    fits, moments, name = best
    place = moments.index(None)
    if 2 * fits < len(cells):
        raise ValueError(f"expected numbers, or dates such as {', '.join(EXAMPLES)}, found {shown(cells[place])}")
    return place, f"{name}, as in the other rows,"


def _first_unordered(cells: Sequence[str], moments: Sequence[Moment]) -> tuple[int, str] | None:
    for place, (before, now) in enumerate(itertools.pairwise(moments), start=1):
        if before[0] != now[0]:
            return place, f"a time with{'' if before[0] else 'out'} a time zone, as in the rows before,"
        if now[1] <= before[1]:
            return place, f"a time after {cells[place - 1]!r}"
    return None


def _number(cell: str) -> Moment | None:
    return (False, decimal.Decimal(cell)) if _NUMBERS.fullmatch(cell) else None


def _iso(cell: str) -> Moment | None:
    """A date with the year first, or another of ISO 8601's forms, such as 2020-W05-1 and 20200131T0500."""
    if (found := _YEAR_FIRST.fullmatch(cell)) is not None:
        return _moment(found)
    if cell.isdecimal():
        return None
    try:
        time = datetime.datetime.fromisoformat(cell)
    except ValueError:
        return None
    since = time.replace(tzinfo=None) - (time.utcoffset() or datetime.timedelta()) - datetime.datetime.min
    return time.tzinfo is not None, since // datetime.timedelta(microseconds=1) * 1000


def _matching(*patterns: re.Pattern[str]) -> Callable[[str], Moment | None]:
    def read(cell: str) -> Moment | None:
        found = next(filter(None, (pattern.fullmatch(cell) for pattern in patterns)), None)
        return found and _moment(found)

    return read


def _moment(found: re.Match[str]) -> Moment | None:
    """Nanoseconds: what dates are written with at most."""
    parts = found.groupdict()
    year = int(parts["year"])
    if year < 100:  # As POSIX reads two digits.
        year += 1900 if year >= 69 else 2000
    try:
        day = datetime.date(year, _month(parts), int(parts.get("day") or 1)).toordinal() - 1
    except ValueError:
        return None
    hour, minute, second = (int(parts.get(name) or 0) for name in ("hour", "minute", "second"))
    if parts.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if parts["half"][0] in "pP" else 0)
    if (hour, minute, second) > (24, 0, 0) or max(minute, second) > 59:
        return None
    zone = parts.get("zone")
    seconds = ((24 * day + hour) * 60 + minute) * 60 + second - _offset(zone)
    return zone is not None, seconds * 10**9 + int((parts.get("part") or "0").ljust(9, "0")[:9])


def _month(parts: Mapping[str, str]) -> int:
    if parts.get("name"):
        return 1 + _NAMES.index(parts["name"][:3].lower())
    return 3 * int(parts["quarter"]) - 2 if parts.get("quarter") else int(parts["month"])


def _offset(zone: str | None) -> int:
    if zone is None or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (3600 * int(digits[:2]) + 60 * int(digits[2:]))


# Where a column fits several, the one that puts most of it in order counts.
FORMS: dict[str, Callable[[str], Moment | None]] = {
    "a number": _number,
    "a date with the year first": _iso,
    "a year and a quarter": _matching(_QUARTERS, _QUARTER_FIRST),
    "a date with the day first": _matching(_DAY_FIRST),
    "a date with the month first": _matching(_MONTH_FIRST),
    "a month and a year": _matching(_MONTHS),
    "a date with the month's name": _matching(*_NAMED_DAYS),
    "a month's name and a year": _matching(*_NAMED_MONTHS),
}
EXAMPLES = ("2020-01-31", "2020-01-31 05:00", "1949-02", "2020-Q2", "31/01/2020", "01/31/2020", "31 Jan 2020")
