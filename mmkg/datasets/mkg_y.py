"""MKG-Y: MMRNS's multimodal graph out of YAGO."""

from __future__ import annotations

from collections.abc import Sequence

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.mkg_w import ID_FILES, mmrns_sources
from mmkg.datasets.raw_graph import RawGraph

GRAPH = "https://raw.githubusercontent.com/zjukg/AdaMF-MAT/main/benchmarks/MKG-Y"


class MKG_Y(MultimodalKG):  # noqa: N801 - the graph's own name
    """MKG-Y: 15,000 entities and 28 relations of YAGO, named like Wikipedia's pages (``Gilles_Mbang_Ondo``).

    966 names are not ASCII. Triples: `AdaMF-MAT <https://github.com/zjukg/AdaMF-MAT>`_. Feature files, if they lie in
    ``MKG-Y/features/``: ``mmrns-beit`` and ``mmrns-sbert`` (`MMRNS <https://github.com/quqxui/MMRNS>`_); they need
    MMRNS's ``ent_links`` in ``MKG-Y/raw/``.

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = MKG_Y("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (15000, 28, 2663)
    """

    folder = "MKG-Y"
    required = ID_FILES
    remotes = {  # noqa: RUF012
        name: Remote(f"{GRAPH}/{name}", digest)
        for name, digest in (
            ("entity2id.txt", "416f6f77c13d0cf0c5cae9625a62b9f7d26320c27ae408f5ce4e7eae3206b8d9"),
            ("relation2id.txt", "78d468edc02688f742c9b5a1030a071789ab24784dd2e48897643fe108ff4e4d"),
            ("train2id.txt", "71310c2c274e5ba2ce550433ef5c8496920bd03f50fd6057e64fc9c34e1e1aac"),
            ("valid2id.txt", "6c82db2d2b809aabf72f94bc19be3080b53ffba1caec12b81510354a7fe3470e"),
            ("test2id.txt", "8602cbbe7e3aef2c857df66eec5f7e4a2d6b02b19f58feff085688fb28980158"),
        )
    }

    def read(self) -> RawGraph:
        """Read the id files."""
        return RawGraph.from_id_files(self.raw_file)

    def sources(self) -> Sequence[FeatureSource]:
        """MMRNS's BEiT and SBERT features."""
        return mmrns_sources(self, "MKG_Y")
