"""Times in the usual forms are read alike, whatever the form; what is out of order or no time is named."""

import pytest

from recipes.dates import first_wrong

TIMES = {
    "numbers": ["-1", "1e0", "2.5", "20200101", "1577836800000000000", "1577836800000000001"],
    "days": ["2019-12-31", "2020-01-01", "2020-1-2", "2020-01-03 05:00", "2020-1-3 5:01", "2020-01-03T05:01:00.5"],
    "days with strokes": ["2019/12/31", "2020/1/1", "2020/01/01 01:00"],
    "zones": ["2020-01-01T00:00Z", "2020-01-01T00:30:00+00:00", "2020-01-01 00:00-01", "2020-01-01 02:00 UTC"],
    "months": ["1949-02", "1949-03", "1950-01"],
    "quarters": ["2019-Q4", "2020-Q1", "2020Q2"],
    "quarters first": ["Q4 2019", "Q1 2020"],
    "weeks": ["2019-W52", "2020-W01-1", "2020-W01-2"],
    "without signs": ["20191231T2300", "20200101T0100"],
    "the day first": ["31/12/2019", "01/01/2020", "01/02/2020"],
    "the month first": ["12/31/2019", "1/1/2020 1:00", "1/1/2020 13:00", "02/01/2020"],
    "either": ["01/02/2020", "02/02/2020", "03/02/2020"],
    "either, the month by the order": ["03/01/2020", "03/02/2020", "04/01/2020"],
    "with points": ["31.12.2019 23:00", "01.01.2020 00:00"],
    "halves of the day": ["1/31/2020 12:00 AM", "1/31/2020 1:00 AM", "1/31/2020 12:00 PM", "1/31/2020 1:00 pm"],
    "two digits": ["12/31/99", "1/1/00"],
    "month and year": ["12/2019", "01/2020"],
    "names of months": ["31 Dec 2019", "1 January 2020", "01 Feb 2020 05:00", "1 feb 2020, 1:00 PM", "2 Mar. 2020"],
    "names of months first": ["Dec 31, 2019", "January 1, 2020", "Jan 1 2020 1:00", "Sept. 2nd, 2020"],
    "names and two digits": ["31-Dec-99", "1-Jan-00", "01-JAN-00 05:00"],
    "names behind the year": ["2019-Dec-31", "2020-Jan-1", "2020 Feb 1"],
    "names without signs": ["31DEC2019", "01JAN2020"],
    "names with the weekday": ["Tue, 31 Dec 2019", "Wednesday, January 1, 2020", "Thu 2 Jan 2020 05:00"],
    "names as in mails": [
        "Tue, 31 Dec 2019 23:00:00 GMT",
        "Wed, 1 Jan 2020 00:30:00 +0100",
        "Thu, 2 Jan 2020 00:00 UTC",
    ],
    "names and years": ["Dec 2019", "January 2020", "Mar-20", "2020 Apr", "MAY 2020"],
    "the hour 24": ["2020-01-01 23:00", "2020-01-01 24:00", "2020-01-02 01:00"],
}


EVERY_FORM = pytest.mark.parametrize("times", TIMES.values(), ids=TIMES)


@EVERY_FORM
def test_times_in_order_are_not_refused(times) -> None:
    assert first_wrong(times) is None
    assert first_wrong(times[:1]) is None


@EVERY_FORM
def test_the_newest_first_is_refused(times) -> None:
    found = first_wrong(times[::-1])
    assert found is not None
    assert "a time after" in found[1]


@EVERY_FORM
def test_a_time_that_comes_twice_is_refused(times) -> None:
    assert first_wrong([*times, times[-1]]) == (len(times), f"a time after {times[-1]!r}")


@EVERY_FORM
@pytest.mark.parametrize(
    "odd", ["soon", "nan", "inf", "-", "2020-13-01", "32/32/2020", "2020-01-01 25:00", "31 Feb 2020", "1_0"]
)
def test_a_cell_unlike_the_others_is_named(times, odd) -> None:
    place, expected = first_wrong([times[0], odd, *times[1:]])
    assert place == 1
    assert expected.endswith("as in the other rows,")


@pytest.mark.parametrize("times", [["2020-01-01", "2020-01-02 00:00Z"], ["2020-01-01 00:00+01:00", "2020-01-02 00:00"]])
def test_times_with_and_without_a_zone_are_not_mixed(times) -> None:
    place, expected = first_wrong(times)
    assert place == 1
    assert "time zone" in expected


def test_zones_count() -> None:
    assert first_wrong(["2020-01-01T01:00+02:00", "2020-01-01T00:00+00:00"]) is None
    assert first_wrong(["2020-01-01T01:00+02:00", "2019-12-31T23:00Z"]) == (1, "a time after '2020-01-01T01:00+02:00'")


@pytest.mark.parametrize(
    "cells", [["Monday", "Friday"], ["Monday", "Friday", "2020-01-01"], ["nan"], ["a"] * 9 + ["1"]]
)
def test_a_column_of_words_is_no_time(cells) -> None:
    with pytest.raises(ValueError, match=f"numbers, or dates such as 2020-01-31, .*, found '{cells[0]}'"):
        first_wrong(cells)
