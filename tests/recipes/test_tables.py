"""The user's own files are read as they are, or refused with one line that names file and line."""

import csv
import gzip
import io
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from recipes.errors import RecipeError, UsageError
from recipes.tables import Sentence, read_conllu, read_csv, read_text

CONLLU = "# text = du pain\n1-2\tdu\t_\t_\t_\t_\t_\t_\t_\t_\n{}\n{}\n2.1\tx\tx\tX\t_\t_\t_\t_\t_\t_\n{}\n\n"
WORDS = [f"{i}\t{word}\t{word}\t{tag}\tX{i}\t_\t0\troot\t_\t_" for i, word, tag in
         [(1, "de", "ADP"), (2, "le", "DET"), (3, "pain", "NOUN")]]  # fmt: skip


@pytest.fixture
def write(tmp_path):
    def put(content: str | bytes, name: str = "mine.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def refusal(call, *args, **options) -> str:
    with pytest.raises(RecipeError) as caught:
        call(*args, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "\n", "\n\n"])
def test_any_delimiter_and_line_end(write, delimiter, end, last) -> None:
    rows = [["when", "temp", "note"], ["2020-01-01", "1.5", "a"], ["2020-01-02", "-2e1", "b c"]]
    path = write(end.join(delimiter.join(row) for row in rows) + last.replace("\n", end))
    table = read_csv(path, numbers=["temp"], texts=["note"], time="when")
    np.testing.assert_array_equal(table["temp"], [1.5, -20.0])
    assert table["note"] == ["a", "b c"]
    assert table["when"] == ["2020-01-01", "2020-01-02"]


def test_gaps_are_numbers_that_are_missing(write) -> None:
    path = write("t,x,y\n1,1,0\n2,,0\n3,NaN,0\n4,n/a,0\n5,4,0\n")
    np.testing.assert_array_equal(read_csv(path, numbers=["x"], gaps=True)["x"], [1, np.nan, np.nan, np.nan, 4])
    text = refusal(read_csv, path, numbers=["x"])
    assert "line 3: expected a number in column 'x', found an empty cell; --fill-gaps takes the one before" in text
    late = write("t,x\n1,\n2,5\n")
    assert "line 2: expected a number" in refusal(read_csv, late, numbers=["x"], gaps=True)
    wrong = write("t,x\n1,1\n2,gap\n")
    assert "line 3: expected a number in column 'x', found 'gap'" in refusal(read_csv, wrong, numbers=["x"], gaps=True)


@pytest.mark.parametrize("sign", ["#N/A", "<NA>", ".", "--", "n.a.", "N/A", "NULL", "?"])
def test_what_programs_write_for_a_missing_number_is_a_gap(write, sign) -> None:
    path = write(f"x,y\n1,a\n{sign},b\n")
    np.testing.assert_array_equal(read_csv(path, numbers=["x"], gaps=True)["x"], [1, np.nan])
    assert "--fill-gaps" in refusal(read_csv, path, numbers=["x"])
    assert "--fill-gaps" not in refusal(read_csv, write(f"x,y\n{sign},b\n1,a\n"), numbers=["x"])


def test_a_row_without_anything_is_passed_over_at_the_end_only(write) -> None:
    assert read_csv(write("t,x\n1,2\n,\n\n, ,\n"), numbers=["x"], texts=["t"])["t"] == ["1"]
    assert "line 3: expected 2 cells" in refusal(read_csv, write("t,x\n1,2\n,,\n1,2\n"), numbers=["x"])
    np.testing.assert_array_equal(read_csv(write('x\n1\n""\n'), numbers=["x"], gaps=True)["x"], [1, np.nan])


def test_the_separator_is_what_cuts_the_first_rows_alike(write) -> None:
    head = "date;temp;note (a,b,c)\n"
    table = read_csv(write(head + "1;1.5;x\n2;2.5;y\n"), numbers=["temp"], texts=["note (a,b,c)"], time="date")
    assert table["note (a,b,c)"] == ["x", "y"]
    # Both cut all rows into three: the columns that are asked for decide.
    np.testing.assert_array_equal(read_csv(write(head + "1;1.5;x, y, z\n"), numbers=["temp"])["temp"], [1.5])
    # A text alone has none.
    assert read_csv(write("text\na; b\nc; d\n"), texts=["text"])["text"] == ["a; b", "c; d"]
    with pytest.raises(UsageError, match=r"It has 'date:temp' alone; cells are separated by comma, semicolon"):
        read_csv(write("date:temp\n1:2\n"), numbers=["temp"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_excels_first_line_names_the_separator(write, delimiter, end) -> None:
    path = write(end.join([f"sep={delimiter}", f"t{delimiter}x", f"1{delimiter}2", f"2{delimiter}a", ""]))
    assert read_csv(path, texts=["x"])["x"] == ["2", "a"]
    assert "line 4: expected a number" in refusal(read_csv, path, numbers=["x"])
    assert "line 1: expected cells separated by" in refusal(read_csv, write(f"sep=:{end}t:x{end}"), numbers=["x"])


def test_a_blank_may_stand_between_separator_and_quote(write) -> None:
    path = write('t, x, "n"\n1, 2, "a, b"\n   \n2, 3, "c\nd"\n')
    assert read_csv(path, numbers=["x"], texts=["n"])["n"] == ["a, b", "c\nd"]


def test_quotes_swallow_no_rows_of_a_file_with_tabs(write) -> None:
    rows = 'text\tlabel\n"Great movie\t1\nno "plot" at all\t0\n"so" so\t0\nbad"\t0\n"it is ""it"""\t1\n'
    texts = ['"Great movie', 'no "plot" at all', '"so" so', 'bad"', 'it is "it"']
    assert read_csv(write(rows), texts=["text"])["text"] == texts
    # A quoted cell elsewhere holds a tab: the quotes of this file count.
    mixed = write('text\tlabel\n"a\tb"\t1\n"Great movie\t1\nterrible"\t0\n')
    assert "line 3: expected cells, quoted as CSV is, found a quote over 2 rows" in refusal(read_csv, mixed)
    assert read_csv(write('text\tlabel\n"a\nb"\t1\n'), texts=["text"])["text"] == ["a\nb"]


def test_quotes_hold_delimiters_line_breaks_and_quotes(write) -> None:
    path = write('text,label\n"a, b\nc ""d""",1\n\nplain,2\n')
    assert read_csv(path, texts=["text", "label"]) == {"text": ['a, b\nc "d"', "plain"], "label": ["1", "2"]}


def test_a_byte_order_mark_is_no_part_of_the_first_column(write) -> None:
    assert read_csv(write(b"\xef\xbb\xbftext,label\na,b\n"), texts=["text"]) == {"text": ["a"]}


def test_a_cell_may_be_longer_than_the_csv_modules_limit(write) -> None:
    limit = csv.field_size_limit()
    assert read_csv(write(f"text,label\n{'x' * 200_000},1\n"), texts=["text"])["text"] == ["x" * 200_000]
    assert csv.field_size_limit() == limit


def test_compressed_files_are_read(write) -> None:
    assert read_text(write(gzip.compress(b"one\r\ntwo"), "a.txt.gz")) == "one\ntwo"
    np.testing.assert_array_equal(read_csv(write(gzip.compress(b"x\n1\n"), "a.csv.gz"), numbers=["x"])["x"], [1.0])


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.floats(allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), min_size=1).filter(str.strip),
        ),
        min_size=1,
        max_size=5,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows, delimiter) -> None:
    # A cell with tabs and line breaks may look like rows by themselves.
    assume(delimiter != "\t" or not any({"\n", "\t"} <= set(text) for _, text in rows))
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    writer.writerows([("value", "text"), *rows])
    path = tmp_path_factory.getbasetemp() / "written.csv"
    path.write_bytes(out.getvalue().encode())
    table = read_csv(path, numbers=["value"], texts=["text"])
    np.testing.assert_array_equal(table["value"], [value for value, _ in rows])
    assert table["text"] == [text.strip() for _, text in rows]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        ("t,x\n1,2\n2,abc\n", 3, ["a number in column 'x'", "'abc'"]),
        ("t,x\n1,2\n2,\n", 3, ["a number in column 'x'", "an empty cell"]),
        ("t,x\n1,NaN\n", 2, ["a number", "'NaN'"]),
        ("t,x\n1,inf\n", 2, ["a number", "'inf'"]),
        ("t,x\n1,1_0\n", 2, ["a number", "'1_0'"]),
        ("t;x\n1;2,5\n", 2, ["write 0.5, not 0,5", "'2,5'"]),
        ("t;x\n1;0,125\n", 2, ["write 0.5, not 0,5", "'0,125'"]),
        ('t,x\n1,"1,234"\n', 2, ["write 1234 or 1.234, not 1,234", "'1,234'"]),
        ('t,x\n1,"1,234,567.8"\n', 2, ["write 1234 or 1.234", "'1,234,567.8'"]),
        ("t,x\n1,2\n\n3\n", 4, ["2 cells", "found 1"]),
        ("t,x\n1,2,3\n", 2, ["2 cells", "found 3"]),
        ("t,x\n1,2\n,,\n2,3\n", 3, ["2 cells", "found 3"]),
        ('t,x,n\n1,2,"a\nb"\n2,bad,c\n', 4, ["'bad'"]),
        ('t,x\n1,2\n3,"4\n5,6\n', 3, ["a quote that is never closed"]),
        ('t,x\n1,2\n3,"4"5\n', 3, ["quoted as CSV is"]),
        ("t,x\n2,1\n3,1\n3,1\n", 4, ["a time after '3'", "found '3'"]),
        ("t,x\n2020-02-01,1\n2020-01-01,1\n", 3, ["a time after '2020-02-01'"]),
        (b"t,x\n1,2\n\xff,3\n", 3, ["UTF-8", "0xff"]),
        ("x,x,t\n1,2,3\n", 1, ["one column 'x'", "found 2"]),
        ("\n \nx,x,t\n1,2,3\n", 3, ["one column 'x'", "found 2"]),
        ("t,x\n1,1\n,2\n", 3, ["a time in column 't'", "an empty cell"]),
        ("t,x\n1,1\nnan,2\n3,3\n", 3, ["a number, as in the other rows", "'nan'"]),
        ("t,x\n2020-01-01,1\n2020-13-01,2\n", 3, ["a date with the year first, as in the other rows", "2020-13"]),
        ("t,x\n2020-02-01,1\n?,2\n2020-01-01,3\n", 3, ["a date with the year first", "'?'"]),
        ("t,x\n31/01/2020,1\n1/32/2020,2\n", 3, ["a date with the day first", "'1/32/2020'"]),
        ("t,x\n2020-01-01T00:00Z,1\n2020-01-02T00:00,2\n", 3, ["a time with a time zone", "'2020-01-02T00:00'"]),
        ("t,x\n2020-01-01,1\n2020-01-02 00:00+01:00,2\n", 3, ["a time without a time zone", "+01:00"]),
        ("t,x\n2020-01-01T01:00+02:00,1\n2019-12-31T23:00Z,2\n", 3, ["a time after '2020-01-01T01:00+02:00'"]),
    ],
)
def test_a_bad_line_is_named(write, content, line, words) -> None:
    path = write(content)
    text = refusal(read_csv, path, numbers=["x"], time="t")
    assert f"{path}, line {line}: " in text
    for word in words:
        assert word in text


def test_a_column_without_times_is_refused(write) -> None:
    text = refusal(read_csv, write("t,x\nMonday,1\nFriday,2\n2020-01-01,3\n"), numbers=["x"], time="t")
    assert "column 't' can't be read as times: expected numbers, or dates such as 2020-01-31" in text
    assert "found 'Monday'; without --time the rows are taken as they come" in text


def test_an_empty_text_is_named(write) -> None:
    assert "line 3: expected a text in column 'b', found an empty cell" in refusal(
        read_csv, write("a,b\n1,x\n2, \n"), texts=["b"]
    )


def test_a_missing_column_names_the_near_one_and_all(write) -> None:
    with pytest.raises(UsageError, match=r"no column 'temperatur'; did you mean 'temperature'\? It has 'date', 'temp"):
        read_csv(write("date,temperature\n1,2\n"), numbers=["temperatur"])


@pytest.mark.parametrize(("content", "word"), [("", "empty file"), (" \n\n", "empty file"), ("t,x\n", "found none")])
def test_an_empty_table_is_refused(write, content, word) -> None:
    assert word in refusal(read_csv, write(content), numbers=["x"], time="t")


def test_a_missing_file_names_the_near_one(write, tmp_path) -> None:
    write("a,b\n")
    assert "did you mean 'mine.csv'?" in refusal(read_csv, tmp_path / "mien.csv", numbers=["a"])
    assert "there is no file" in refusal(read_text, tmp_path / "nowhere" / "x.txt")
    assert "cannot read" in refusal(read_text, tmp_path)


@pytest.mark.parametrize(
    ("content", "name", "word"),
    [
        (b"", "a.txt", "empty file"),
        (b"\xef\xbb\xbf \n", "a.txt", "empty file"),
        ("ab".encode("utf-16"), "a.txt", "UTF-16"),
        (b"ok\nok\n\x80", "a.txt", "line 3: expected text in UTF-8, found byte 0x80"),
        (gzip.compress(b"x" * 5000, mtime=0)[:-9], "a.txt.gz", "is damaged"),
        (b"no gzip", "a.txt.gz", "is damaged"),
    ],
)
def test_a_bad_text_is_refused(write, content, name, word) -> None:
    assert word in refusal(read_text, write(content, name))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_conllu_without_ranges_and_empty_words(write, end) -> None:
    text = CONLLU.format(*WORDS).replace("\n", end)
    path = write(text * 2, "a.conllu")
    assert read_conllu(path) == [Sentence(["de", "le", "pain"], ["ADP", "DET", "NOUN"])] * 2
    assert read_conllu(path, "xpos")[0].tags == ["X1", "X2", "X3"]
    # The last sentence needs no blank line behind it.
    assert read_conllu(write(text.rstrip(), "b.conllu"))[0].tokens == ["de", "le", "pain"]


def test_words_may_have_no_features(write) -> None:
    path = write(CONLLU.format(WORDS[0].replace("\t_\t0", "\tCase=Nom\t0"), *WORDS[1:]), "a.conllu")
    assert read_conllu(path, "feats")[0].tags == ["Case=Nom", "_", "_"]


def test_comments_of_two_columns_are_no_words(write) -> None:
    path = write("# newdoc\n# sent_id\t1\n# text = #\tX\nEU\tORG\n#\tSYM\n\n#\tSYM\n# sent_id\t2\n\n# \tX\n#a\tB\n")
    sentences = [Sentence(["EU", "#"], ["ORG", "SYM"]), Sentence(["#", "# sent_id"], ["SYM", "2"])]
    assert read_conllu(path) == [*sentences, Sentence(["#a"], ["B"])]
    spaces = write("# newdoc\na X\n\n# newpar\nb Y\n", "b.conll")
    assert [sentence.tokens for sentence in read_conllu(spaces)] == [["a"], ["b"]]


@pytest.mark.parametrize("gap", ["\t", " ", "   "])
def test_two_columns(write, gap) -> None:
    path = write(f"# a comment here\nEU{gap}ORG\n#{gap}SYM\n\n\nok{gap}O\n", "a.conll")
    assert read_conllu(path) == [Sentence(["EU", "#"], ["ORG", "SYM"]), Sentence(["ok"], ["O"])]


@pytest.mark.parametrize(
    ("content", "line", "word"),
    [
        (CONLLU.format(WORDS[0], WORDS[1].replace("\t0\t", "\t"), WORDS[2]), 4, "10 columns"),
        (CONLLU.format(WORDS[0], WORDS[2], WORDS[1]), 4, "expected word 2 of the sentence, found the id '3'"),
        (CONLLU.format(WORDS[0].replace("ADP", "_"), *WORDS[1:]), 3, "a tag in column 'upos', found '_'"),
        ("a\tX\nb\n", 2, "a word and its tag"),
        ("a\tX\nb Y\n", 2, "a word and its tag"),
        ("a X\nb Y Z\n", 2, "a word and its tag"),
        ("a\tX\n\tY\n", 2, "a word and its tag"),
        ("a\tb\tc\n", 1, "10 columns"),
    ],
)
def test_a_malformed_conll_line_is_named(write, content, line, word) -> None:
    path = write(content, "a.conllu")
    text = refusal(read_conllu, path)
    assert f"{path}, line {line}: " in text
    assert word in text


def test_conll_without_sentences_or_with_an_unknown_column(write) -> None:
    assert "found none" in refusal(read_conllu, write("# only\n\n", "a.conllu"))
    with pytest.raises(UsageError, match="did you mean 'upos'"):
        read_conllu(write("a\tX\n", "b.conllu"), "upo")


def test_numbers_keep_their_precision(write) -> None:
    assert read_csv(write(f"x\n{math.pi!r}\n"), numbers=["x"])["x"][0] == math.pi
