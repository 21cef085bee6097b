"""The command that looks a dataset over."""

import json

import pytest


def test_audit_for_people_and_for_programs(call, tmp_path):
    status, out, _ = call("audit", "worldmoji", "--root", tmp_path)
    assert status == 0
    assert out.startswith("2,")
    assert "Relations by category" in out
    assert "Looked for and not found:" in out
    status, out, _ = call("audit", "worldmoji", "--root", tmp_path, "--json")
    told = json.loads(out)
    assert status == 0
    assert set(told) == {"title", "findings", "rules", "categories", "degrees", "coverage"}
    assert set(told["findings"][0]) == {"severity", "topic", "finding", "count", "of", "share", "example", "advice"}
    assert {row["finding"]: row["count"] for row in told["findings"]}["val triples that are also in train"] == 0
    assert {row["modality"]: row["entities"] for row in told["coverage"]}["description"] == 1.0


def test_audit_of_ones_own_folder(call, tmp_path):
    folder, other = tmp_path / "mine", tmp_path / "other"
    folder.mkdir()
    (folder / "triples.tsv").write_bytes(b"a\tr\tb\r\na\tr\tb\r\nb\tr\tc\r\n")
    status, out, err = call("audit", folder, "--root", other, "--csv", tmp_path / "tables")
    assert (status, err) == (0, "")
    assert sorted(folder.iterdir()) == [folder / "triples.tsv"]  # nothing is written there
    assert out.startswith("3 entities, 1 relations; triples: train 2, val 0, test 0\n")
    assert "  empty splits: 2 of 3 (66.7%)\n      e.g. val, test\n" in out
    told = "  lines that end with a carriage return: 3\n      e.g. left at the tails, they make 4 entities of 3\n"
    assert told in out
    assert "reader: duplicated lines: 1\n" in out
    assert (tmp_path / "tables/page.txt").read_text(encoding="utf-8") in out
    assert "empty splits" in (tmp_path / "tables/findings.csv").read_text(encoding="utf-8")
    assert call("audit", folder)[0] == 0
    assert (folder / "processed").is_dir()


def test_min_support(call, tmp_path):
    (tmp_path / "train.tsv").write_text("a\tr\tb\nb\ts\ta\n")
    out = call("audit", tmp_path, "--min-support", 1)[1]
    assert "e.g. r => s, turned round (1 pairs, confidence 1.00, back 1.00)" not in out  # a fact has no example
    assert "inverse relation pairs: 1 of 1 (100.0%)" in out
    assert "relations too small for rules to be judged: 2 of 2" in call("audit", tmp_path)[1]


def test_audit_of_a_split_policy(call, shared, tmp_path, monkeypatch):
    if not (shared / "data/DB15K/raw/train2id.txt").is_file():
        pytest.skip(f"{shared}/data/DB15K/raw/train2id.txt is not there")
    monkeypatch.setenv("MMKG_RAW", str(shared / "data"))
    status, out, err = call("audit", "db15k", "--root", tmp_path, "--split-policy", "published")
    assert status == 0
    assert err.startswith("warning: DB15K's published validation split repeats 6584 train and 824 test triples")
    assert "distinct triples in val: 7,481 of 9,904" in out
    assert "val triples that are also in train: 6,584 of 7,481" in out


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nothing"], 1, "unknown dataset 'nothing'. Cure: choose one of"),
        (["db15k", "--split-policy", "other"], 1, "split_policy 'other': choose clean or published"),
        (["wn18", "--split-policy", "clean"], 2, "only db15k has split policies"),
    ],
)
def test_bad_input_is_told(call, tmp_path, words, status, told):
    found, _, err = call("audit", *words, "--root", tmp_path)
    assert (found, told in err) == (status, True), err


def test_audit_lists_entities_that_may_be_one(call, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "triples.tsv").write_text("Rome\tin\tItaly\nrome\tin\tItaly\nOslo\tin\tNorway\n")
    status, out, err = call("audit", folder, "--duplicates", "--csv", tmp_path / "tables")
    assert (status, err) == (0, "")
    assert "1 pairs of entities that may be one, by labels" in out
    assert "Oslo" not in out
    assert "rome" in (tmp_path / "tables/duplicates.csv").read_text(encoding="utf-8")
    (pair,) = json.loads(call("audit", folder, "--duplicates", "--json")[1])["duplicates"]
    assert (pair["same_label"], pair["shared_links"], pair["linked"], pair["text"]) == (True, 1, False, None)
    status, _, err = call("audit", folder, "--duplicates", "--alike", "2")
    assert status == 1
    assert "threshold 2.0" in err
