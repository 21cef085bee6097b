"""The three views of an entity (image, text, structure) under a relation, and how alike they are."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mmkg.samplers.mmrns.kca import KCA
from mmkg.samplers.mmrns.memory import fits
from mmkg.samplers.mmrns.similarity import Grouping, cosine, norms
from mmkg.samplers.mmrns.stored import Stored
from mmkg.samplers.mmrns.structure import StructureGate
from mmkg.types import Features


class Views(torch.nn.Module):
    """Holds KCA, the structure gate and the features, and compares positives with candidates.

    Features are gathered by ids in each step, so that they may stay memory-mapped on disk; they are no part of the
    module's state. Those in memory follow the module to its device, and to a GPU those on disk as well, as long as half
    of what is free there holds them; it would wait in each step for those left on disk.

    Args:
        entity_dim: Width ``d`` of an entity's embedding.
        relation_dim: Width ``d_r`` of a relation's embedding.
        image: Images of the graph's entities, or None.
        text: Texts of the graph's entities, or None.
        attention_dim: Width ``a`` of KCA.
        gate_dim: Middle width of a gate of two layers.
        gate_layers: 1 or 2.
        use_structure: Keep the view of structure.
        use_guide: Keep KCA's relation-guided half.
        use_free: Keep KCA's relation-free half.
        zero_rows: A missing image or text counts as rows of zeros, as in published code, and not as missing.
        detach_norms: Keep gradients out of the cosines' norms.
        positive_image_norm: False leaves Norm out of the relation-free half of the *positive's* image.

    Raises:
        ValueError: If no view is left.
    """

    def __init__(
        self,
        entity_dim: int,
        relation_dim: int,
        image: Features | None,
        text: Features | None,
        *,
        attention_dim: int = 50,
        gate_dim: int = 100,
        gate_layers: int = 1,
        use_structure: bool = True,
        use_guide: bool = True,
        use_free: bool = True,
        zero_rows: bool = False,
        detach_norms: bool = False,
        positive_image_norm: bool = True,
    ) -> None:
        super().__init__()
        self.entity_dim, self.relation_dim = entity_dim, relation_dim
        self.zero_rows, self.detach_norms, self.positive_image_norm = zero_rows, detach_norms, positive_image_norm
        self.features = {name: f for name, f in (("image", image), ("text", text)) if f is not None}
        self.names = (*self.features, *(("structure",) if use_structure else ()))
        if not self.names:
            raise ValueError("no modality is left: give image or text features, or keep use_structure")
        self.kca = self.gate = None
        if self.features:
            shapes = (None if f is None else f.shape[1:] for f in (image, text))
            self.kca = KCA(*shapes, relation_dim, attention_dim, use_guide=use_guide, use_free=use_free)
        if use_structure:
            self.gate = StructureGate(entity_dim, relation_dim, gate_dim, gate_layers)
        for name, features in self.features.items():
            self.register_buffer(f"{name}_present", _present(features), persistent=False)  # [N]

    def _apply(self, fn, recurse=True):
        """Move (or cast) the module, and to where it lies the features that may follow."""
        super()._apply(fn, recurse)
        device = next(self.parameters()).device
        for name, features in self.features.items():
            if isinstance(features.values, Tensor) or (device.type == "cuda" and fits(features.values.nbytes, device)):
                self.features[name] = features.to(device)
        return self

    def check_widths(self, entity: Tensor, relation: Tensor) -> None:
        """Raise ValueError where a model's embeddings ``[..., d]`` or ``[..., d_r]`` are not as wide as was said."""
        for what, found, expected in (
            ("entities", entity, self.entity_dim),
            ("relations", relation, self.relation_dim),
        ):
            if found.shape[-1] != expected:
                raise ValueError(f"the model's {what} are {found.shape[-1]} wide, the sampler expects {expected}")

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the parameters (float32 or float64), in which similarities are computed."""
        return next(self.parameters()).dtype

    def present(self, name: str, ids: Tensor) -> Tensor:
        """Whether entities have a modality, in the shape of ``ids``."""
        if name == "structure" or self.zero_rows:
            return torch.ones_like(ids, dtype=torch.bool)
        return getattr(self, f"{name}_present")[ids]

    def pairs(
        self, ids: Tensor, entity: Tensor, relation: Tensor, entity_at: Tensor, relation_at: Tensor
    ) -> dict[str, Tensor]:
        """Views of listed (entity, relation) pairs.

        Args:
            ids: ``n`` entities, shape ``[n]``.
            entity: Their embeddings, shape ``[n, d]``.
            relation: ``U`` relations, shape ``[U, d_r]``.
            entity_at: Position of each pair's entity, shape ``[m]``.
            relation_at: Position of each pair's relation, shape ``[m]``.

        Returns:
            For each modality in use ``[m, a]``, structure ``[m, d]``.
        """
        views = {}
        if self.kca is not None:
            rows = self.kca.encode(self.stored("image", ids), self.stored("text", ids))
            normalise = self.positive_image_norm
            views = self.kca.pairs(rows, relation, entity_at, relation_at, normalise_image=normalise)
        if self.gate is not None:
            views["structure"] = self.gate.pairs(
                entity.index_select(0, entity_at), relation.index_select(0, relation_at)
            )
        return views

    def similarities(
        self,
        ids: Tensor,
        entity: Tensor,
        relation: Tensor,
        positive: dict[str, Tensor],
        grouping: Grouping,
        chunk_size: int | None = None,
    ) -> dict[str, Tensor]:
        """Cosines of each row's positive and every candidate under the row's relation.

        Args:
            ids: Candidates, shape ``[P]``.
            entity: Their embeddings, shape ``[P, d]``.
            relation: ``U`` relations, shape ``[U, d_r]``.
            positive: Views of the rows' true answers, each ``[B, a]`` or ``[B, d]``.
            grouping: The batch's rows by relation.
            chunk_size: Candidates computed at once, and again in the backward pass, so that memory does not grow with
                the pool; all at once, and kept, if None.

        Returns:
            For each modality in use ``[B, P]``.
        """

        def compare(part: slice) -> tuple[Tensor, ...]:
            views = {}
            if self.kca is not None:
                rows = self.kca.encode(self.stored("image", ids[part]), self.stored("text", ids[part]))
                views = self.kca.pool(rows, relation)
            found = {m: grouping.similarities(positive[m], v, self.detach_norms) for m, v in views.items()}  # [B, C]
            if self.gate is not None:
                found["structure"] = self._structure(entity[part], relation, positive["structure"], grouping)  # [B, C]
            return tuple(found[m] for m in self.names)

        count = ids.numel()
        if chunk_size is None or chunk_size >= count:
            return dict(zip(self.names, compare(slice(None)), strict=True))
        parts = [slice(start, start + chunk_size) for start in range(0, count, chunk_size)]
        if torch.is_grad_enabled():
            done = [checkpoint(compare, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
        else:
            done = [compare(part) for part in parts]
        return {m: torch.cat(columns, dim=1) for m, columns in zip(self.names, zip(*done, strict=True), strict=True)}

    def _structure(self, entity: Tensor, relation: Tensor, positive: Tensor, grouping: Grouping) -> Tensor:
        """Cosines ``[B, C]`` of structure."""
        if self.gate.second is None:
            parts = self.gate.parts(entity, relation)  # [C, d], [U, d]
            return grouping.gated_similarities(positive, entity, *parts, self.detach_norms)  # [B, C]
        return grouping.similarities(positive, self.gate.pool(entity, relation), self.detach_norms)  # [B, C]

    def kept_bytes(self, relations: int) -> int:
        """About what a step keeps of one candidate until its gradient is known, for ``U`` relations of a batch.

        Counted generously: what each branch saves, and as much again for the slopes.
        """
        numbers = 0
        if self.kca is not None:
            for branch in (self.kca.image, self.kca.text):
                if branch is not None:
                    own, others, width = branch.contents, branch.outputs, branch.attention_dim
                    squares = own * own if branch.guide_in is not None else 0
                    numbers += relations * (width + others + 2) + 8 * own * (width + others) + squares
        if self.gate is not None:
            wide = self.gate.entity_dim
            numbers += (
                4 * wide if self.gate.second is None else relations * (4 * wide + 4 * self.gate.first.out_features)
            )
        return 2 * numbers * torch.finfo(self.dtype).bits // 8

    def to_answers(self, views: dict[str, Tensor], at: Tensor) -> dict[str, Tensor]:
        """Cosines of each row's true answer and its known answers.

        Args:
            views: What :meth:`pairs` returned.
            at: Positions of the answers among the pairs, the true one first, shape ``[B, J]``.

        Returns:
            For each modality in use ``[B, J]``.
        """
        found = {}
        for name in self.names:
            view, length = views[name], norms(views[name], self.detach_norms)  # [m, a], [m]
            of_answers = view.index_select(0, at.flatten()).view(*at.shape, -1)  # [B, J, a]
            lengths = length.index_select(0, at.flatten()).view(at.shape)  # [B, J]
            dot = torch.einsum("ba,bja->bj", of_answers[:, 0], of_answers)  # [B, J]
            found[name] = cosine(dot, lengths[:, :1], lengths)  # [B, J]
        return found

    def stored(self, name: str, ids: Tensor) -> Stored | None:
        """Features of a modality for entities ``[n]``, None if the graph lacks it."""
        return Stored(self.features[name], ids, self.zero_rows) if name in self.features else None


def _present(features: Features) -> Tensor:
    """True for entities with at least one real row, shape ``[N]``."""
    if features.shape[0] == 0:
        return features.present
    some = features.mask.any(dim=1)  # [M]
    return features.present & some[features.row.clamp(min=0).to(some.device)].to(features.row.device)
