"""WN18: the part of WordNet 3.0 that Bordes et al. took."""

from __future__ import annotations

from collections.abc import Sequence

from mmkg.datasets.array_files import names_file, read_array
from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph

GRAPH = "https://raw.githubusercontent.com/DeepGraphLearning/KnowledgeGraphEmbedding/master/data/wn18"


class WN18(MultimodalKG):
    """WN18: 40,943 synsets and 18 relations of WordNet, named by 8-digit offsets such as ``00001740``.

    **Test triples leak through inverse relations** (hypernym and hyponym, part and whole): of 94 % of them, train
    holds the pair with head and tail swapped. :class:`~mmkg.datasets.WN18RR` is the subset without such relations. An
    offset names no part of speech: where several synsets share one, ``entity2text.tsv`` joins their glosses.

    Triples: `KnowledgeGraphEmbedding <https://github.com/DeepGraphLearning/KnowledgeGraphEmbedding>`_. Feature file, if
    it lies in ``WN18/features/``: ``mobilenet-v1`` (``visual_mobilenetv1_1024.npy`` with ``entities.txt``).

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = WN18("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (40943, 18, 5000)
    """

    folder = "WN18"
    required = ("train.txt", "valid.txt", "test.txt")
    remotes = {  # noqa: RUF012
        "train.txt": Remote(f"{GRAPH}/train.txt", "24c9b02dc57d3ae8ca8467ce355995edee7be8eddc3bd070ee34d3c6fc3c95eb"),
        "valid.txt": Remote(f"{GRAPH}/valid.txt", "13347bfb5e17d1cae003e0bfe29b4716d3ab748e8cfb6af997138d37da3a51dc"),
        "test.txt": Remote(f"{GRAPH}/test.txt", "d22c19d176d4ba6a6f0d0c6bfce39ab3c16e3b20e1df6f9efe0d9ed86542fa10"),
    }

    def read(self) -> RawGraph:
        """Read the files of names."""
        return RawGraph.from_name_files(self.raw_file)

    def sources(self) -> Sequence[FeatureSource]:
        """MobileNet features of some synsets."""
        return (mobilenet_source(self),)


def mobilenet_source(dataset: MultimodalKG) -> FeatureSource:
    """Picture features of synsets, ``[1, 1024]`` each."""
    file = "features/visual_mobilenetv1_1024.npy"
    return FeatureSource(
        "image",
        "mobilenet-v1",
        lambda: dataset.find(file),
        lambda names: [[name] for name in names],
        rows=1,
        width=1024,
        read=read_array,
        beside=lambda: [names_file(path)] if (path := dataset.find(file)) else [],
    )
