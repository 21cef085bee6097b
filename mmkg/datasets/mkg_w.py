"""MKG-W: MMRNS's multimodal graph out of Wikidata."""

from __future__ import annotations

from collections.abc import Sequence

from mmkg.datasets.base import MultimodalKG
from mmkg.datasets.download import Remote
from mmkg.datasets.entity_keys import linked_keys
from mmkg.datasets.feature_files import FeatureSource
from mmkg.datasets.raw_graph import RawGraph

GRAPH = "https://raw.githubusercontent.com/zjukg/AdaMF-MAT/main/benchmarks/MKG-W"
ID_FILES = ("entity2id.txt", "relation2id.txt", "train2id.txt", "valid2id.txt", "test2id.txt")


class MKG_W(MultimodalKG):  # noqa: N801 - the graph's own name
    """MKG-W: 15,000 entities and 169 relations of Wikidata, named by URIs.

    An entity is called ``http://www.wikidata.org/entity/Q129286``, a relation ``http://www.wikidata.org/entity/P161``;
    labels are ``Q129286`` and ``P161`` where there is no table of texts.

    Triples: `AdaMF-MAT <https://github.com/zjukg/AdaMF-MAT>`_; no checksum of its files is known here, so that a
    download is not compared with one. Feature files, if they lie in ``MKG-W/features/``: ``mmrns-beit`` and
    ``mmrns-sbert`` (`MMRNS <https://github.com/quqxui/MMRNS>`_); they need MMRNS's ``ent_links`` in ``MKG-W/raw/``.

    Args:
        root: Folder that holds datasets.
        split: None, ``"train"``, ``"val"`` or ``"test"``.
        **options: Of :class:`~mmkg.datasets.base.MultimodalKG`.

    Example:
        >>> data = MKG_W("datasets")[0]  # doctest: +SKIP
        >>> data.num_nodes, data.num_relations, int(data.test_mask.sum())  # doctest: +SKIP
        (15000, 169, 4274)
    """

    folder = "MKG-W"
    required = ID_FILES
    remotes = {name: Remote(f"{GRAPH}/{name}") for name in ID_FILES}  # noqa: RUF012

    def read(self) -> RawGraph:
        """Read the id files."""
        return RawGraph.from_id_files(self.raw_file)

    def sources(self) -> Sequence[FeatureSource]:
        """MMRNS's BEiT and SBERT features."""
        return mmrns_sources(self, "MKG_W")


def mmrns_sources(dataset: MultimodalKG, prefix: str) -> tuple[FeatureSource, FeatureSource]:
    """MMRNS's features of a graph whose entities ``ent_links`` joins with DBpedia pages."""
    image, text = f"features/{prefix}_img_BEIT_16-224.h5", f"features/{prefix}_description_sentences.h5"

    def keys(names: Sequence[str]) -> list[list[str]]:
        return linked_keys(dataset.raw_file("ent_links"), names)

    return (
        FeatureSource("image", "mmrns-beit", lambda: dataset.find(image), keys, rows=24, width=383),
        FeatureSource("text", "mmrns-sbert", lambda: dataset.find(text), keys, rows=4, width=384, exact=False),
    )
