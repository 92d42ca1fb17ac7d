"""Raw text to ids, and parts that share no text."""

import json
import re
import unicodedata

import numpy as np
import pytest

from recipes import text


def test_words_and_signs_are_tokens():
    reading = text.describe(["Don't stop!<br />It\u2019s 10/10…"], last=50, size=100)
    tokens = ["don't", "stop", "!", "<br />", "it\u2019s", "10", "/", "10", "…"]
    assert text.TextReader(reading).tokens("Don't stop!<br />It\u2019s 10/10…") == tokens


def test_marks_belong_to_their_word():
    reading = text.describe(["a"], last=50, size=9)
    words = ["cafe\u0301", "हिन्दी", "में", "d\u2019e\u0301te\u0301", "ไม่ใช่", "تُفَّاح"]
    assert text.TextReader(reading).tokens(f"{words[0]}, {' '.join(words[1:])}!") == [words[0], ",", *words[1:], "!"]


def test_a_word_holds_letters_digits_marks_and_joiners_and_nothing_else():
    find = re.compile(text.WORDS).findall
    for sign in map(chr, range(0x10000)):
        within = sign.isalnum() or sign in "_\u200c\u200d" or unicodedata.category(sign).startswith("M")
        if unicodedata.category(sign) not in ("Cn", "Cs"):
            assert (find(f"a{sign}") == [f"a{sign}"]) == within, f"U+{ord(sign):04X}"


def test_ascii_falls_into_words_as_it_did_without_marks():
    ascii_text = "".join(map(chr, np.random.default_rng(0).integers(0, 128, 20_000)))
    find = re.compile(r"<br ?/?>|\w+(?:['\u2019]\w+)*|[^\w\s]").findall
    assert re.compile(text.WORDS).findall(ascii_text) == find(ascii_text)


def test_the_vocabulary_has_the_commonest_first_and_no_more_than_its_size():
    reading = text.describe(["b a", "b a c", "b d"], last=50, size=7)
    assert reading["vocabulary"] == ["<pad>", "<unk>", "<s>", "</s>", "b", "a", "c"]


def test_metadata_alone_turn_raw_text_into_ids():
    reading = json.loads(json.dumps(text.describe(["a fine film", "a dull one"], last=3, size=100)))
    known = reading["vocabulary"]
    read = text.TextReader(reading)
    # The last three; what is not known is <unk>.
    np.testing.assert_array_equal(read("Ah, A FINE zebra"), [known.index("a"), known.index("fine"), 1])
    assert read("a fine film").dtype == "int32"


@pytest.mark.parametrize("nothing", ["", "  \n"])
def test_a_text_without_a_token_is_one_unknown_token(nothing):
    np.testing.assert_array_equal(text.TextReader(text.describe(["a"], last=3, size=9))(nothing), [1])


def test_a_reserved_entry_in_a_text_is_no_padding():
    reading = text.describe(["a <pad> <unk> </s>"], last=50, size=100)
    assert 0 not in text.TextReader(reading)("<pad> <pad>")


def test_characters_can_be_tokens():
    reading = text.describe(["Ab\n"], pattern=text.CHARACTERS, last=50, size=100)
    assert sorted(reading["vocabulary"][4:]) == ["\n", "a", "b"]


def test_equal_texts_are_in_one_part_and_each_class_in_all():
    random = np.random.default_rng(1)
    keys = [f"text {number}" for number in random.integers(0, 400, 1000)]
    classes = [int(key[5:]) % 3 for key in keys]
    parts = text.split_rows(keys, classes)
    assert list(parts) == ["train", "test", "validation"]
    assert sorted(row for rows in parts.values() for row in rows) == list(range(1000))
    texts = {part: {keys[row] for row in rows} for part, rows in parts.items()}
    assert not texts["train"] & texts["test"]
    assert not texts["train"] & texts["validation"]
    assert not texts["test"] & texts["validation"]
    for kind in range(3):
        count = classes.count(kind)
        for part in ("test", "validation"):
            held = sum(classes[row] == kind for row in parts[part])
            assert 0.1 * count - 1 <= held <= 0.1 * count + 8, "a text that recurs may be more than the share"


def test_the_split_does_not_depend_on_anything_else():
    keys = [f"text {number}" for number in range(100)]
    assert text.split_rows(keys) == text.split_rows(list(keys))


def test_a_small_class_is_in_every_part():
    parts = text.split_rows(list("abcdef"), ["x"] * 3 + ["y"] * 3)
    assert [[int(row > 2) for row in rows] for rows in parts.values()] == [[0, 1]] * 3


def test_a_class_of_one_text_is_trained_on():
    parts = text.split_rows(list("abcdefgh"), ["x"] * 7 + ["y"])
    assert 7 in parts["train"]
