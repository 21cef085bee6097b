"""FB15K: the part of Freebase that Bordes et al. took, with MMKB's pictures."""

from __future__ import annotations

from collections.abc import Sequence

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.entity_keys import table_keys
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph

GRAPH = "https://raw.githubusercontent.com/DeepGraphLearning/KnowledgeGraphEmbedding/master/data/FB15k"
IMAGE_INDEX = Remote(
    "https://raw.githubusercontent.com/mniepert/mmkb/master/FB15K/FB15K_ImageIndex.txt",
    "3e7e2be4f8f801d0cfc57ab7fcbb537ffe3d26212f17383c4091c19686f76940",
)


class FB15K(MultimodalKG):
    """FB15K: 14,951 entities and 1,345 relations of Freebase.

    **Test triples leak through inverse relations**: of 78 % of them, train holds the pair with head and tail swapped.
    :class:`~mmkg.datasets.FB15k_237` is the subset without such relations.

    Triples: `KnowledgeGraphEmbedding <https://github.com/DeepGraphLearning/KnowledgeGraphEmbedding>`_; picture index:
    `MMKB <https://github.com/mniepert/mmkb>`_ (BSD-3). Feature file, if it lies in ``FB15K/features/``: ``mmkb-vgg``
    (``FB15K_ImageData.h5`` of MMKB).

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = FB15K("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (14951, 1345, 59071)
    """

    folder = "FB15K"
    required = ("train.txt", "valid.txt", "test.txt")
    remotes = {  # noqa: RUF012
        "train.txt": Remote(f"{GRAPH}/train.txt", "f9cdfd2685f6483bd3a499d433919b15d62f0715c6cf18b2ca30c2aa5c47a704"),
        "valid.txt": Remote(f"{GRAPH}/valid.txt", "471929cde9cf74b1caa8348c2b601c8010d6b2f2a56bae49b4ebfd14c9bce855"),
        "test.txt": Remote(f"{GRAPH}/test.txt", "5b60b4de325482c3368e22d0b7452d465b09a610fea0ce3768d8b1e8b5a7e42a"),
        "FB15K_ImageIndex.txt": IMAGE_INDEX,
    }

    def read(self) -> RawGraph:
        """Read the files of names."""
        return RawGraph.from_name_files(self.raw_file)

    def sources(self) -> Sequence[FeatureSource]:
        """MMKB's VGG features."""
        return (vgg_source(self),)


def vgg_source(dataset: MultimodalKG) -> FeatureSource:
    """MMKB's VGG features of Freebase entities, ``[1, 4096]`` each."""
    return FeatureSource(
        "image",
        "mmkb-vgg",
        lambda: dataset.find("features/FB15K_ImageData.h5"),
        lambda names: table_keys(dataset.raw_file("FB15K_ImageIndex.txt"), names),
        rows=1,
    )
