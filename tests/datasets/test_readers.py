"""Readers: every malformed line is named; every harmless oddity of a release is read."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmkg.datasets.lines import read_lines
from mmkg.datasets.readers import (
    oddities,
    read_entity_text,
    read_id_triples,
    read_names,
    read_triples,
    vocabulary,
)
from mmkg.errors import DataError

BAD_NAMES = {
    "empty file": ("", 1, "file is empty", "first line"),
    "no count": ("a 0\nb 1\n", 1, "not a count: 'a 0'", "how many lines follow"),
    "count too large": ("3\na 0\nb 1\n", 1, "count says 3, 2 lines follow", "correct the count"),
    "count too small": ("1\na 0\nb 1\n", 1, "count says 1, 2 lines follow", "correct the count"),
    "one field": ("2\na 0\nb\n", 3, "1 field, expected 2: 'b'", "a name and its id"),
    "no integer": ("2\na 0\nb x\n", 3, "not an integer: 'b x'", "whole numbers"),
    "id too large": ("2\na 0\nb 2\n", 3, "id out of range 0 to 1: 'b 2'", "without gaps"),
    "negative id": ("2\na -1\nb 1\n", 2, "id out of range 0 to 1: 'a -1'", "without gaps"),
    "id twice": ("2\na 0\nb 0\n", 3, "id given twice: 'b 0'", "without gaps"),
    "name twice": ("2\n\na 0\n\n\na 1\n", 6, "name given twice: 'a 1'", "one line for each name"),
}
BAD_ID_TRIPLES = {
    "two fields": ("2\n0 1 0\n0 1\n", 3, "2 fields, expected 3: '0 1'", "head, tail and relation"),
    "four fields": ("1\n0 1 0 7\n", 2, "4 fields, expected 3: '0 1 0 7'", "head, tail and relation"),
    "no integer": ("1\n0 1 0.5\n", 2, "not an integer: '0 1 0.5'", "whole numbers"),
    "entity too large": ("2\n0 1 0\n0 3 0\n", 3, "entity id 3 out of range 0 to 2: '0 3 0'", "entity2id.txt"),
    "negative head": ("1\n-1 1 0\n", 2, "entity id -1 out of range 0 to 2", "entity2id.txt"),
    "relation too large": ("1\n0 1 2\n", 2, "relation id 2 out of range 0 to 1: '0 1 2'", "relation2id.txt"),
    "cut short": ("3\n0 1 0\n0 2 0\n", 1, "count says 3, 2 lines follow", "cut short"),
}
BAD_TRIPLES = {
    "two fields": ("a\tr\tb\na\tr\n", 2, "2 fields, expected 3: 'a\\tr'", "with tabs"),
    "spaces for tabs": ("a r b\n", 1, "1 field, expected 3: 'a r b'", "with tabs"),
    "empty tail": ("a\tr\tb\n\na\tr\t\n", 3, "empty name: 'a\\tr\\t'", "head, relation and tail"),
}
BAD_TEXTS = {
    "two fields": ("a\tA\tB.\nb\tB\n", 2, "2 fields, expected 3: 'b\\tB'", "description may be empty"),
    "empty id": ("\tA\tB.\n", 1, "empty id", "entity's id"),
    "id twice": ("a\tA\tB.\na\tA\tC.\n", 2, "id given twice", "one line for each id"),
}


def check(function, tmp_path, case, *arguments):
    content, line, problem, cure = case
    path = tmp_path / "file.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        function(path, *arguments)
    message = str(caught.value)
    assert message.startswith(f"{path}, line {line}: ")
    assert problem in message
    assert cure in message.split("Cure: ")[1]
    assert "\n" not in message


@pytest.mark.parametrize("case", BAD_NAMES.values(), ids=BAD_NAMES)
def test_bad_names(case, tmp_path):
    check(read_names, tmp_path, case)


@pytest.mark.parametrize("case", BAD_ID_TRIPLES.values(), ids=BAD_ID_TRIPLES)
def test_bad_id_triples(case, tmp_path):
    check(read_id_triples, tmp_path, case, 3, 2)


@pytest.mark.parametrize("case", BAD_TRIPLES.values(), ids=BAD_TRIPLES)
def test_bad_triples(case, tmp_path):
    check(read_triples, tmp_path, case)


@pytest.mark.parametrize("case", BAD_TEXTS.values(), ids=BAD_TEXTS)
def test_bad_texts(case, tmp_path):
    check(read_entity_text, tmp_path, case)


def test_the_first_of_several_bad_lines_is_named_and_the_others_counted(tmp_path):
    check(read_triples, tmp_path, ("a\tr\tb\nx\n\ny\n", 2, "1 field, expected 3: 'x' (2 such lines)", "tabs"))


def test_not_utf8(tmp_path):
    (tmp_path / "f").write_bytes(b"a\tr\tb\nZ\xfcrich\tr\tb\n")
    with pytest.raises(DataError, match=r"f, line 2: not UTF-8: b'\\xfcric'. Cure: save the file as UTF-8"):
        read_triples(tmp_path / "f")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_where_it_is_not_utf8(tmp_path, mark, end):
    (tmp_path / "f").write_bytes(mark + f"a\tr\tb{end}".encode() + b"\xfcb\tr\tb")
    with pytest.raises(DataError, match=r"f, line 2: not UTF-8: b'\\xfcb\\tr'"):
        read_triples(tmp_path / "f")


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.txt: cannot be read \(No such file or directory\)"):
        read_triples(tmp_path / "nothing.txt")


@pytest.mark.parametrize(("known", "kind"), [((["a"], ["r"]), "entity 'b'"), ((["a", "b"], ["q"]), "relation 'r'")])
def test_unknown_names(known, kind, tmp_path):
    (tmp_path / "f").write_text("a\tr\ta\n\na\tr\tb\n" if "entity" in kind else "\na\tr\tb\n")
    with pytest.raises(DataError, match=rf"f, line [23]: unknown {kind}.*Cure: add it to the list"):
        read_triples(tmp_path / "f").to_ids(*known)


def test_columns_are_h_t_r_in_id_files_and_h_r_t_in_name_files(tmp_path):
    (tmp_path / "ids").write_text("1\n4 5 1\n")
    (tmp_path / "names").write_text("4\t1\t5\n")
    assert read_id_triples(tmp_path / "ids", 6, 2).tolist() == [[4, 1, 5]]
    names = read_triples(tmp_path / "names")
    assert vocabulary([names]) == (["4", "5"], ["1"])
    assert names.to_ids(["4", "5"], ["1"]).tolist() == [[0, 0, 1]]


def test_empty_splits(tmp_path):
    (tmp_path / "ids").write_text("0\n")
    (tmp_path / "names").write_text("\n")
    assert read_id_triples(tmp_path / "ids", 6, 2).shape == (0, 3)
    assert read_names(tmp_path / "ids") == []
    assert read_triples(tmp_path / "names").to_ids([], []).shape == (0, 3)
    assert read_entity_text(tmp_path / "names").ids == []


def test_texts_are_unescaped_and_quotes_mean_nothing(tmp_path):
    (tmp_path / "t").write_text('a\t"A\tSaid \\"so\\",\\tthen\\r left\nb\tB\t\n', encoding="utf-8")
    text = read_entity_text(tmp_path / "t")
    assert text.names == ['"A', "B"]
    assert text.descriptions == ['Said "so", then  left', ""]
    assert text.aligned(["b", "c", "a"]) == (["B", "", '"A'], ["", "", 'Said "so", then  left'], 2)


# names as they occur: spaces, accents, quotes, separators that only Python takes for line ends
NAME = st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\x85\u2028"), min_size=1, max_size=8)
NAME = NAME.map(lambda text: text.strip(" ")).filter(lambda text: text and "\ufeff" not in text)
END = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def releases(draw, lines):
    """The same lines as some editor on some system would save them."""
    end, text = draw(END), ""
    for line in lines:
        text += draw(st.sampled_from(["", end, "  " + end])) + line + end
    text = text if draw(st.booleans()) else text.removesuffix(end)
    return ("\ufeff" if draw(st.booleans()) else "").encode() + text.encode()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAME, NAME, NAME), min_size=1, max_size=6), st.data())
def test_triples_survive_any_editor(tmp_path_factory, triples, data):
    path = tmp_path_factory.mktemp("r") / "train.txt"
    path.write_bytes(data.draw(releases(["\t".join(triple) for triple in triples])))
    named = read_triples(path)
    columns = (named.head.to_pylist(), named.relation.to_pylist(), named.tail.to_pylist())
    assert list(zip(*columns, strict=True)) == triples
    entities, relations = vocabulary([named])
    ids = named.to_ids(entities, relations)
    assert [(entities[h], relations[r], entities[t]) for h, r, t in ids] == triples


@settings(max_examples=60, deadline=None)
@given(st.lists(NAME, min_size=1, max_size=6, unique=True), st.randoms(), st.sampled_from(" \t"), st.data())
def test_names_survive_any_editor_and_order(tmp_path_factory, names, random, gap, data):
    lines = [f"{name}{gap}{i}" for i, name in enumerate(names)]
    random.shuffle(lines)
    path = tmp_path_factory.mktemp("r") / "entity2id.txt"
    path.write_bytes(data.draw(releases([str(len(lines)), *lines])))
    assert read_names(path) == names


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), max_size=6), st.sampled_from([" ", "\t", "  "]), st.data())
def test_id_triples_survive_any_editor(tmp_path_factory, triples, gap, data):
    path = tmp_path_factory.mktemp("r") / "train2id.txt"
    path.write_bytes(data.draw(releases([str(len(triples)), *(f"{h}{gap}{t}{gap}{r}" for h, r, t in triples)])))
    assert [tuple(row) for row in read_id_triples(path, 10, 10).tolist()] == triples


def test_line_numbers_are_those_of_an_editor(tmp_path):
    (tmp_path / "f").write_bytes("\ufeff\r\na\u2028b\r\n \r\nc".encode())
    lines = read_lines(tmp_path / "f")
    assert lines.text.to_pylist() == ["a\u2028b", "c"]
    assert np.array_equal(lines.number, [2, 4])


def test_what_readers_forgive_is_counted(tmp_path):
    (tmp_path / "a").write_bytes("\ufeffx\tr\ty\r\n\r\n \ny\tr\tx\nz\tr\tx\r\n".encode())
    (tmp_path / "b").write_bytes(b"x\tr\tz\ry\tr\tz")
    (tmp_path / "c").write_bytes(b"\n")
    files = [read_triples(tmp_path / name) for name in "abc"]
    assert files[0].lines.carriage.tolist() == [True, False, True]
    assert files[1].lines.carriage.tolist() == [True, False]
    assert oddities([file.lines for file in files], files) == {
        "carriage_returns": 3,
        "blank_lines": 3,
        "byte_order_marks": 1,
        "entities_if_carriage_returns_stayed": 6,  # x, y, z; and y, x and z with a carriage return
    }
    assert oddities([file.lines for file in files])["carriage_returns"] == 3
    (tmp_path / "a").write_bytes(b"x\tr\ty\n")
    assert oddities([read_lines(tmp_path / "a")]) == {}
    assert oddities([]) == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from("abcd")] * 3, st.sampled_from(["\n", "\r\n"])), max_size=12))
def test_entities_of_a_reader_that_leaves_carriage_returns(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("r") / "train.txt"
    path.write_bytes("".join(f"{h}\t{r}\t{t}{end}" for h, r, t, end in rows).encode())
    with open(path, newline="\n") as file:  # as Python splits lines that are not told to be universal
        naive = [line.removesuffix("\n").split("\t") for line in file]
    found = oddities([(named := read_triples(path)).lines], [named])
    if any(end == "\r\n" for *_, end in rows):
        assert found["entities_if_carriage_returns_stayed"] == len({name for h, _, t in naive for name in (h, t)})
    else:
        assert found == {}
