"""A DB15K of seven entities, in the files and formats of the real one."""

from pathlib import Path

PAGE = "<http://dbpedia.org/resource/{}>"
ENTITIES = ["France", "Paris", "AC/DC", "Ed‹Sheeran", "Rome", "Italy", "Zürich"]
RELATIONS = ["<http://dbpedia.org/ontology/capital>", "<http://www.w3.org/2000/01/rdf-schema#seeAlso>"]
TRAIN = [(0, 1, 0), (1, 0, 1), (5, 4, 0), (4, 5, 1), (0, 5, 1), (5, 0, 1), (2, 3, 1), (3, 2, 1), (2, 2, 1), (6, 0, 1)]
VALID = [(0, 1, 0), (0, 1, 0), (1, 5, 1), (6, 5, 1)]  # h t r: two copies of a train triple, one of test, one new
TEST = [(1, 5, 1), (1, 4, 1)]


def write_db15k(root: Path, **replaced: str) -> Path:
    """Write the files below ``root``; ``replaced`` gives other contents by name without ending."""
    raw = root / "DB15K" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    files = {
        "entity2id": [f"{PAGE.format(name)} {i}" for i, name in enumerate(ENTITIES)],
        "relation2id": [f"{name} {i}" for i, name in enumerate(RELATIONS)],
        **{
            f"{k}2id": [f"{h} {t} {r}" for h, t, r in v]
            for k, v in (("train", TRAIN), ("valid", VALID), ("test", TEST))
        },
    }
    for name, lines in files.items():
        content = replaced.get(name, "\n".join([str(len(lines)), *lines]) + "\n")
        (raw / f"{name}.txt").write_text(content, encoding="utf-8")
    links = [f"/m/0{i} <SameAs> {PAGE.format(name)} ." for i, name in enumerate(ENTITIES)]
    links.insert(0, f"/m/0x <SameAs> {PAGE.format('France')} .")  # an entity with two Freebase ids
    (raw / "DB15K_SameAsLink.txt").write_text("\n".join(links) + "\n", encoding="utf-8")
    index = [f"{PAGE.format(name)}\tDBIMG{i:05d}" for i, name in enumerate(ENTITIES[:-1])]
    (raw / "DB15K_ImageIndex.txt").write_text("\n".join(index) + "\n", encoding="utf-8")
    texts = [f'{PAGE.format(name)}\t{name} label\tOn {name}. It has \\"two\\" sentences.' for name in ENTITIES[:-1]]
    (root / "DB15K" / "entity2text.tsv").write_text("\n".join(texts) + "\n", encoding="utf-8")
    return root
