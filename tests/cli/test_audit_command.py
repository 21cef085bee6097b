"""The command that looks a dataset over."""

import json

import pytest


def test_audit_for_people_and_for_programs(call, tmp_path):
    status, out, _ = call("audit", "worldmoji", "--root", tmp_path)
    assert status == 0
    assert out.startswith("2,")
    assert "Looked for and not found:" in out
    status, out, _ = call("audit", "worldmoji", "--root", tmp_path, "--json")
    rows = json.loads(out)
    assert status == 0
    assert set(rows[0]) == {"severity", "finding", "count", "of", "share", "example", "advice"}
    assert {row["finding"]: row["count"] for row in rows}["val triples that are also in train"] == 0


@pytest.mark.filterwarnings("ignore:DB15K's published validation split")
def test_audit_of_a_split_policy(call, shared, tmp_path, monkeypatch):
    if not (shared / "data/DB15K/raw/train2id.txt").is_file():
        pytest.skip(f"{shared}/data/DB15K/raw/train2id.txt is not there")
    monkeypatch.setenv("MMKG_RAW", str(shared / "data"))
    status, out, _ = call("audit", "db15k", "--root", tmp_path, "--split-policy", "published")
    assert status == 0
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
