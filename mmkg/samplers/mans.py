"""Modality-aware negatives: the right entity with somebody else's picture or text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.uniform import UniformSampler
from mmkg.samplers.weighted_sets import WeightedSets, draw_where, taboo
from mmkg.scorers.attention_pooling import AttentionPooling
from mmkg.scorers.multimodal import FusedEntities
from mmkg.scorers.pooling import MeanPooling
from mmkg.types import Batch, Negatives, Side


class MANS(NegativeSampler):
    r"""`Modality-Aware Negative Sampling for Multi-modal Knowledge Graph Embedding <https://arxiv.org/abs/2304.11618>`_
    (Zhang et al., IJCNN 2023).

    A modal negative of a positive with answer :math:`a` is no entity of the graph: it is :math:`a` itself, with its
    features of one modality exchanged for those of a donor :math:`e`. Where :math:`f` fuses structure and modalities,

    .. math:: \tilde e = f(s_a, \; x^{m'}_a \text{ for } m' \ne m, \; x^m_e)

    so that the scorer must tell an entity's own picture from a stranger's. The modality is uniform among those that the
    answer has and somebody can give, the donor uniform among the unknown entities that have it. Rows whose answer has
    nothing to exchange get ordinary negatives, which are uniform.

    The paper's MANS-V is ``share=1``, MANS-H a share below 1, MANS-T ``share=1`` with ``until`` (modal negatives first,
    ordinary ones after). Its MANS-A weighs two scores that only its own four-part scorer has, and is not offered. The
    paper exchanges pictures; here any modality of the model may be.

    It needs a model with fused entities (``mmkg.scorers.fuse``) and takes these apart: it reads the structural table,
    the pooled features and the fusion.

    Args:
        num_entities: Number of entities ``N``.
        num_negatives: Number of negatives ``K`` for each positive.
        share: Share of modal negatives among the ``K``, rounded to whole ones, in [0, 1]; they come first.
        until: Step from which all negatives are ordinary; None for never.
        modalities: Modalities to exchange, by the model's names; all of the model's if None.

    Raises:
        ValueError: If a number is out of range.
    """

    def __init__(
        self,
        num_entities: int,
        num_negatives: int,
        *,
        share: float = 0.5,
        until: int | None = None,
        modalities: Sequence[str] | None = None,
    ) -> None:
        super().__init__(num_entities, num_negatives)
        if not 0 <= share <= 1:
            raise ValueError(f"share is {share}, expected 0 to 1")
        if until is not None and until < 0:
            raise ValueError(f"until is {until}, expected at least 0")
        if modalities is not None and not modalities:
            raise ValueError("no modalities to exchange: name one or more, or leave it to the model")
        self.share, self.until = share, until
        self.modalities = None if modalities is None else tuple(modalities)
        self.modal = round(share * num_negatives)
        self.uniform = UniformSampler(num_entities, num_negatives)

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
    ) -> Negatives:
        """Draw ``K`` negatives for each row, modal ones first; see :meth:`NegativeSampler.sample`.

        Returns:
            Negatives with ``embeddings`` whose gradient reaches the model. ``ids`` of modal negatives are their donors;
            ``log_prob`` is that of the modality and the donor, or of the entity.

        Raises:
            ValueError: If the model's entities are not fused, or it lacks a modality that is named.
        """
        self._check(side, facts)
        table, names = self._fused(model)
        everyone = self.uniform.sample(batch, side, None, facts, generator)
        modal = self.modal if self.until is None or step < self.until else 0
        if not modal:
            return everyone
        donors, kind, log_prob = self._donors(batch, side, table, names, facts, modal, generator)  # [B, J] each
        exchanged = kind >= 0  # [B, J]
        ids = everyone.ids.clone()  # [B, K]
        ids[:, :modal] = torch.where(exchanged, donors, ids[:, :modal])
        chance, valid = everyone.log_prob.clone(), everyone.valid.clone()  # [B, K], [B, K]
        chance[:, :modal] = torch.where(exchanged, log_prob, chance[:, :modal])
        valid[:, :modal] |= exchanged
        mixed = mixtures(table, names, batch.answer(side), donors, kind)  # [B, J, d]
        own = model.entity(ids)  # [B, K, d]
        embeddings = torch.cat([torch.where(exchanged[..., None], mixed, own[:, :modal]), own[:, modal:]], dim=1)
        return Negatives(ids, valid, embeddings, chance)

    def _fused(self, model: torch.nn.Module) -> tuple[FusedEntities, tuple[str, ...]]:
        """The model's fused table and the modalities to exchange."""
        table = getattr(model, "node_emb", None)
        if not isinstance(table, FusedEntities):
            raise ValueError(
                f"MANS exchanges modalities of fused entities, {type(model).__name__} has none: "
                "give them to it by mmkg.scorers.fuse(scorer, features) before training"
            )
        names = tuple(table.pooling) if self.modalities is None else self.modalities
        if unknown := set(names) - set(table.pooling):
            raise ValueError(f"the model has no {sorted(unknown)[0]!r}: its modalities are {', '.join(table.pooling)}")
        return table, names

    def _donors(
        self,
        batch: Batch,
        side: Side,
        table: FusedEntities,
        names: tuple[str, ...],
        facts: Facts,
        num: int,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Donors, numbers of the modality that each gives (-1 where none can be exchanged), log-probabilities."""
        holds = torch.stack([holders(table.pooling[m]) for m in names]).to(batch.head.device)  # [M, N]
        sets = WeightedSets(*holds.nonzero().unbind(1), len(names), self.num_entities)
        forbidden, drawn = taboo(batch, side, facts), []
        for number in range(len(names)):
            drawn.append(sets.draw(torch.full_like(batch.relation, number), forbidden, num, generator))
        usable = holds[:, batch.answer(side)].T & (torch.stack([d.left for d in drawn], 1) > 0)  # [B, M]
        kinds = draw_where(usable, num, generator)
        kind = kinds.ids[..., None]  # [B, J, 1]
        donors = torch.stack([d.ids for d in drawn], 2).gather(2, kind)[..., 0]  # [B, J, M] -> [B, J]
        log_prob = torch.stack([d.log_prob for d in drawn], 2).gather(2, kind)[..., 0]  # [B, J]
        return donors, torch.where(kinds.valid(), kinds.ids, -1), log_prob + kinds.log_prob

    def extra_repr(self) -> str:
        """Settings shown by ``repr``."""
        return f"{super().extra_repr()}, share={self.share}, until={self.until}, modalities={self.modalities}"


def holders(pool: MeanPooling | AttentionPooling) -> Tensor:
    """Whether each entity has the modality, shape ``[N]``."""
    if isinstance(pool, MeanPooling):
        return pool.present
    return pool.features.row_mask(torch.arange(len(pool.features.row))).any(1)


def mixtures(table: FusedEntities, names: Sequence[str], answer: Tensor, donors: Tensor, kind: Tensor) -> Tensor:
    """Embeddings of answers with one modality of somebody else.

    Args:
        table: The model's fused entities.
        names: Modalities by number.
        answer: Entities that give everything else, shape ``[B]``.
        donors: Entities that give the modality, shape ``[B, J]``.
        kind: Number of the modality exchanged, shape ``[B, J]``; -1 for none.

    Returns:
        Shape ``[B, J, d]``, with gradient.
    """
    everyone = torch.cat([answer, donors.flatten()])  # [B + B J]
    distinct, place = everyone.unique(return_inverse=True)  # [n], [B + B J]
    of_answer = place[: answer.numel(), None].expand_as(donors)  # [B, J]
    of_donor = place[answer.numel() :].view_as(donors)  # [B, J]
    vectors, present = {}, {}
    for name, pool in table.pooling.items():
        found, there = pool(distinct)  # [n, D_m], [n]
        number = list(names).index(name) if name in names else len(names)
        source = torch.where(kind == number, of_donor, of_answer).flatten()  # [B J]
        vectors[name], present[name] = found[source], there[source]  # [B J, D_m], [B J]
    structure = F.embedding(answer, table.weight)[:, None].expand(-1, donors.shape[1], -1)  # [B, J, d]
    fused = table.fusion(structure.flatten(0, 1), vectors, present)  # [B J, d]
    return fused.view_as(structure)  # [B, J, d]
