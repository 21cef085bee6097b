"""FB15k-237: FB15K without relations that are each other's inverse or copy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmkg.datasets.archives import read_members
from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.fb15k import IMAGE_INDEX, vgg_source
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph


class FB15k_237(MultimodalKG):  # noqa: N801 - the name that PyG gave it
    """FB15k-237: 14,541 entities and 237 relations of Freebase.

    9 validation and 28 test triples hold an entity that does not occur in train; they are kept and counted in
    ``report``. The release ends its lines with CR LF; the CR is taken off.

    Triples: `ConvE <https://github.com/TimDettmers/ConvE>`_, read out of ``FB15k-237.tar.gz`` without unpacking it.
    Its entities are FB15K's: text, pictures, and features that lie in FB15K's folder serve where its own has none.

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = FB15k_237("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (14541, 237, 20466)
    """

    folder = "FB15k-237"
    required = ("FB15k-237.tar.gz",)
    remotes = {  # noqa: RUF012
        "FB15k-237.tar.gz": Remote(
            "https://raw.githubusercontent.com/TimDettmers/ConvE/master/FB15k-237.tar.gz",
            "311df7930f842a02979eaa7a802484a6afe62303c07f915f1e6edbc30cbe05e8",
        ),
        "FB15K_ImageIndex.txt": IMAGE_INDEX,
    }

    def folders(self) -> list[Path]:
        """Its own, then FB15K's."""
        own = super().folders()
        return [*own, *(folder.with_name("FB15K") for folder in own)]

    def read(self) -> RawGraph:
        """Read the members of the archive."""
        members = read_members(self.raw_file(self.required[0]), ("train.txt", "valid.txt", "test.txt"))
        return RawGraph.from_name_files(members.__getitem__)

    def sources(self) -> Sequence[FeatureSource]:
        """MMKB's VGG features."""
        return (vgg_source(self),)
