"""WN18RR: WN18 without relations that are each other's inverse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmkg.datasets.archives import read_members
from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph
from mmkg.datasets.wn18 import mobilenet_source


class WN18RR(MultimodalKG):
    """WN18RR: 40,943 synsets and 11 relations of WordNet, named by 8-digit offsets such as ``00001740``.

    210 validation and 210 test triples hold a synset that does not occur in train; they are kept and counted in
    ``report``.

    Triples: `ConvE <https://github.com/TimDettmers/ConvE>`_, read out of ``WN18RR.tar.gz`` without unpacking it. Its
    synsets are WN18's: text, pictures, and features that lie in WN18's folder serve where its own has none.

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = WN18RR("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (40943, 11, 3134)
    """

    folder = "WN18RR"
    required = ("WN18RR.tar.gz",)
    remotes = {  # noqa: RUF012
        "WN18RR.tar.gz": Remote(
            "https://raw.githubusercontent.com/TimDettmers/ConvE/master/WN18RR.tar.gz",
            "1eb9152f804c140d163462c0d49f65e5a0b30ab5fbb375c5e3353c11a6249060",
        )
    }

    def folders(self) -> list[Path]:
        """Its own, then WN18's."""
        own = super().folders()
        return [*own, *(folder.with_name("WN18") for folder in own)]

    def read(self) -> RawGraph:
        """Read the members of the archive."""
        members = read_members(self.raw_file(self.required[0]), ("train.txt", "valid.txt", "test.txt"))
        return RawGraph.from_name_files(members.__getitem__)

    def sources(self) -> Sequence[FeatureSource]:
        """MobileNet features of some synsets."""
        return (mobilenet_source(self),)
