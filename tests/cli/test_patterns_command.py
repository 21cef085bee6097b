"""The command that mines a dataset's relation patterns."""

import json

import pytest


def test_patterns_for_people_and_for_programs(call, tmp_path):
    status, out, _ = call("patterns", "worldmoji", "--root", tmp_path)
    assert status == 0
    assert out.startswith("2,167 entities, 9 relations")
    assert "borders⁻¹ ⇒ borders: 434 of 434 pairs (100.0%)" in out
    status, out, _ = call("patterns", "worldmoji", "--root", tmp_path, "--json", "--min-confidence", 0.5)
    rows = {row["rule"]: row for row in json.loads(out)}
    assert status == 0
    assert rows["capital_of ⇒ part_of"]["support"] == 165
    assert rows["instance_of⁻¹ ⇒ not instance_of"]["pca"] is None


def test_patterns_of_ones_own_folder(call, tmp_path):
    lines = [f"p{n}\tparent\tc{n}" for n in range(40)] + [f"c{n}\tchild\tp{n}" for n in range(40)]
    (tmp_path / "triples.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    status, out, _ = call("patterns", tmp_path, "-k", 1)
    assert status == 0
    assert "Inverse relations: 2" in out


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["nothing"], 1, "unknown dataset 'nothing'. Cure: choose one of"),
        (["worldmoji", "--min-support", 0], 2, "--min-support"),
        (["worldmoji", "--min-confidence", 60], 1, "min_confidence is 60.0. Cure: give a share from 0 to 1"),
        (["worldmoji", "--split-policy", "clean"], 2, "only db15k has split policies"),
        (["worldmoji", "-k", 0], 2, "-k"),
    ],
)
def test_bad_input_is_told(call, tmp_path, words, status, told):
    found, _, err = call("patterns", *words, "--root", tmp_path)
    assert (found, told in err) == (status, True), err
