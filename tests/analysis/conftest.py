"""Small graphs: with pictures, texts and names that mean harm, and runs on it; with several answers to a question."""

from types import SimpleNamespace

import pytest
import torch
from accelerate.state import AcceleratorState
from fake_encoders import FakePictureEncoder, FakeTextEncoder
from PIL import Image
from torch_geometric.data import Data

from mmkg.datasets import MultimodalFolder
from mmkg.run import Run, RunConfig, SamplerConfig
from mmkg.training import TrainConfig

HARM = "<script>alert('x')</script>"
BREAK = '"><img src=x onerror=alert(1)>&amp;</style></svg>'
NAMES = [HARM, BREAK, "Zürich", "東京 都", "שלום", "a  b", *(f"thing {n}" for n in range(18))]


@pytest.fixture(scope="session")
def harmful():
    """Names of the first two entities, of which the second has a picture."""
    return HARM, BREAK


def write_graph(folder, pictures=True):
    """Two relations on 24 entities, most of them with a picture and a text."""
    folder.mkdir(parents=True)
    size = len(NAMES)
    triples = [(n, "next & <b>", (n + 1) % size) for n in range(size)]
    triples += [(n, "kind_of", n % 4) for n in range(4, size)]
    held_out = {"valid": [(3, "kind_of", 0), (0, "next & <b>", 2), (2, "kind_of", 1)], "test": [(3, "kind_of", 2)]}
    for stem, rows in {"train": triples, **held_out}.items():
        lines = "".join(f"e{h:02d}\t{r}\te{t:02d}\n" for h, r, t in rows)
        (folder / f"{stem}.tsv").write_text(lines, encoding="utf-8")
    lines = [
        f"e{n:02d}\t{name}\t{f'It is {name}. No. {n} <i>of</i> all.' if n % 5 else ''}\n"
        for n, name in enumerate(NAMES)
    ]
    (folder / "entities.tsv").write_text("id\tname\tdescription\n" + "".join(lines), encoding="utf-8")
    (folder / "images").mkdir()
    for n in range(size if pictures else 0):
        if n % 3:
            picture = Image.new("RGB", (40, 60 if n % 2 else 30), (10 * n, 200 - 5 * n, 90))
            picture.paste((255, 255, 255), (0, 0, 20, 15))
            picture.save(folder / f"images/e{n:02d}.png")
    return folder


def train(folder, out, encoded=True, **sampler):
    """A run of a few steps."""
    dataset = MultimodalFolder(folder, log=False)
    if encoded:
        dataset.encode_text(FakeTextEncoder(), max_sentences=3)
        dataset.encode_images(FakePictureEncoder(), regions=(2, 3))
    given = {"negatives": 4, "pool": 12, "attention": 6} | sampler
    config = RunConfig(
        dataset=str(folder),
        dim=6,
        sampler=SamplerConfig(**given),
        train=TrainConfig(steps=3, batch_size=16, validate_every=0, learning_rate=0.05),
    )
    run = Run.train(config, out, progress=False)
    AcceleratorState._reset_state(reset_partial_state=True)
    return run


@pytest.fixture(scope="session")
def little(tmp_path_factory):
    """A run with MMRNS over pictures, texts and structure; not to be changed."""
    home = tmp_path_factory.mktemp("little")
    return train(write_graph(home / "graph"), home / "mmrns")


@pytest.fixture(scope="session")
def plain(little):
    """A run with uniform negatives on the same graph; not to be changed."""
    return train(little.folder.parent / "graph", little.folder.parent / "plain", name="uniform")


@pytest.fixture
def stand_in():
    """Makes what a gallery reads of a run, from parts."""

    def make(data, model, sampler, folder, dataset=None, name="mmrns"):
        triples = torch.stack([data.edge_index[0], data.edge_type, data.edge_index[1]], dim=1)
        settings = SimpleNamespace(name=name, negatives=4)
        return SimpleNamespace(
            data=data,
            model=model,
            sampler=sampler,
            folder=folder,
            best_step=3,
            dataset=dataset or SimpleNamespace(topology=data),
            config=SimpleNamespace(dataset="stand_in", scorer="rotate", sampler=settings),
            triples=lambda split: triples[data[f"{split}_mask"]],
        )

    return make


def ring() -> Data:
    """What :func:`crowd` gives."""
    n = 60
    i = torch.arange(n)
    pairs = [(0, 1), (1, -1)] + [(2, k) for k in (-3, -2, 2, 3)] + [(3, n // 2)]
    triples = torch.cat([torch.stack([i, torch.full_like(i, r), (i + k) % n]) for r, k in pairs], dim=1)  # [3, 420]
    triples = triples[:, torch.randperm(triples.shape[1], generator=torch.Generator().manual_seed(0))]
    data = Data(edge_index=triples[[0, 2]], edge_type=triples[1], num_nodes=n)
    data.num_relations = 4
    number = torch.arange(triples.shape[1])
    data.train_mask, data.val_mask, data.test_mask = number < 340, (number >= 340) & (number < 380), number >= 380
    data.entity_names = [f"e{k:02d}" for k in range(n)]
    data.relation_names = ["next", "previous", "near", "opposite"]
    return data


@pytest.fixture
def crowd() -> Data:
    """60 entities in a ring under next, previous, opposite and near (symmetric, N-N: 2 and 3 steps either way)."""
    return ring()


@pytest.fixture(scope="module")
def crowd_once() -> Data:
    """The same, for what is made once for many tests; not to be changed."""
    return ring()


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
