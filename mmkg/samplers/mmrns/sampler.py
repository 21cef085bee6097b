"""The MMRNS sampler: KCA and the gate see, the mixture decides, Gumbel draws, the contrast teaches."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from mmkg.graph.facts import Facts
from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.mmrns.contrast import seen_contrast
from mmkg.samplers.mmrns.distribution import RULES, temperature
from mmkg.samplers.mmrns.draw import draw, gumbel
from mmkg.samplers.mmrns.explanation import Explanation, explain_positions
from mmkg.samplers.mmrns.gumbel import GRADIENTS, RELAXATIONS, straight_through
from mmkg.samplers.mmrns.memory import affordable, shrink_chunks
from mmkg.samplers.mmrns.options import check_above, check_options
from mmkg.samplers.mmrns.plan import Plan, make_plan
from mmkg.samplers.mmrns.seen import Seen, own_rows, see
from mmkg.samplers.mmrns.views import Views
from mmkg.samplers.share import Share
from mmkg.types import Batch, Features, Negatives, Side


class MMRNS(NegativeSampler):
    r"""Relation-enhanced multimodal negative sampling (Xu et al., ACM MM 2022).

    Draws negatives that look like the true answer through image, text and structure, each seen through the relation.
    It learns by two ways: the contrastive loss L_con (:meth:`loss`), and the gradient of the scorer's own loss through
    straight-through embeddings of what was drawn.

    .. math::
        p = \frac{1}{3} \sum_m \mathrm{softmax}(\mathrm{sim}^m / ε), \quad ε = ε_0 / (1 + \ln(\mathrm{step} + 1))

    Defaults follow the equations; ``mmkg.samplers.PUBLISHED`` holds the options of the published code.
    A step given a plan compiles as one graph. On a CPU leave it uncompiled: its kernels are written by hand for it, and
    inductor of PyTorch 2.13 computes wrongly there.

    Args:
        num_entities: Number of entities ``N``.
        entity_dim: Width ``d`` of ``model.entity``.
        relation_dim: Width ``d_r`` of ``model.relation``.
        image: Images of the entities, None if the graph has none.
        text: Texts of the entities, None if the graph has none.
        num_negatives: Draws ``K`` for each positive, at most the size of the pool.
        pool: ``"random"``: one pool of entities for the whole batch (the paper); ``"typed"``: for each relation those
            that the graph shows at that side of it.
        pool_size: Candidates ``P`` of a step; of each relation if they are typed. ``"all"`` for all there are.
        attention_dim: Width ``a`` of KCA.
        gate_dim: Middle width of a gate of two layers.
        gate_layers: 1 (the equation) or 2 (the published code).
        epsilon: Temperature :math:`ε_0` of p, above 0.
        epsilon_schedule: Whether ε falls with the step.
        tau: Temperature of the relaxed draws, above 0.
        beta: Weight of L_con.
        alpha: Weight of the scores in L_con's weights of drawn negatives.
        relaxation: ``"fresh"`` or ``"shared"`` noise in the relaxed draws.
        gumbel_gradient: ``"descend"`` (the paper), ``"reverse"`` or ``"none"``.
        contrast: L_con's log in each ``"row"`` or over the whole ``"batch"``.
        contrast_positives: L_con's positives from the ``"facts"`` (off-pool), or those that happen to be in the
            ``"pool"``.
        drawn_weight: L_con's weight of a drawn negative by ``"equation"`` or as ``"published"``.
        max_positives: Known answers beside the true one in L_con, at least 0.
        missing: ``"corrected"`` or ``"naive"`` mixture where modalities are missing, or ``"zero"`` rows in their place.
        detach_norms: Keep gradients out of the cosines' norms.
        positive_image_norm: False leaves Norm out of one half of the positive's image.
        use_image: Ablation: with images at all.
        use_text: Ablation: with texts at all.
        use_structure: Ablation: with structure.
        use_guide: Ablation: with the relation-guided half of KCA.
        use_free: Ablation: with the relation-free half of KCA.
        use_contrast: Ablation: with L_con.
        chunk_size: Candidates computed at once (and again in the backward pass); the whole pool if None.
        memory_mb: Memory for what a step keeps of the candidates, in MiB, from which chunks follow; ``"auto"`` for half
            of what is free when the step begins. Not with ``chunk_size``.
        static_shapes: Fill up whatever depends on the ids to one of few sizes, so that shapes repeat from step to step
            (CUDA graphs, ``torch.compile``); it changes no result.
        pool_ranges: Several processes divide the pool by ranges of entities, and not the batch, for similarities.

    Raises:
        ValueError: If a number is out of range, an option unknown, features belong to another graph, or nothing is left
            to compare entities by.
    """

    def __init__(
        self,
        num_entities: int,
        entity_dim: int,
        relation_dim: int,
        image: Features | None = None,
        text: Features | None = None,
        *,
        num_negatives: int = 20,
        pool: Literal["random", "typed"] = "random",
        pool_size: int | Literal["all"] = 1500,
        attention_dim: int = 50,
        gate_dim: int = 100,
        gate_layers: int = 1,
        epsilon: float = 10.0,
        epsilon_schedule: bool = True,
        tau: float = 1.0,
        beta: float = 0.01,
        alpha: float = 0.5,
        relaxation: str = "fresh",
        gumbel_gradient: str = "descend",
        contrast: str = "row",
        contrast_positives: str = "facts",
        drawn_weight: str = "equation",
        max_positives: int = 16,
        missing: str = "corrected",
        detach_norms: bool = False,
        positive_image_norm: bool = True,
        use_image: bool = True,
        use_text: bool = True,
        use_structure: bool = True,
        use_guide: bool = True,
        use_free: bool = True,
        use_contrast: bool = True,
        chunk_size: int | None = None,
        memory_mb: float | Literal["auto"] | None = None,
        static_shapes: bool = False,
        pool_ranges: bool = False,
    ) -> None:
        super().__init__(num_entities, num_negatives)
        check_options(
            pool=(pool, ("random", "typed")),
            relaxation=(relaxation, RELAXATIONS),
            gumbel_gradient=(gumbel_gradient, tuple(GRADIENTS)),
            contrast=(contrast, ("row", "batch")),
            contrast_positives=(contrast_positives, ("facts", "pool")),
            drawn_weight=(drawn_weight, ("equation", "published")),
            missing=(missing, RULES),
        )
        check_above(0, epsilon=epsilon, tau=tau, attention_dim=attention_dim, gate_dim=gate_dim)
        check_above(-1, max_positives=max_positives)
        if chunk_size is not None and memory_mb is not None:
            raise ValueError("chunk_size and memory_mb are both given: one follows from the other")
        given: dict[str, Any] = {"pool_size": pool_size, "chunk_size": chunk_size, "memory_mb": memory_mb}
        check_above(0, **{name: number for name, number in given.items() if number not in (None, "auto", "all")})
        self.pool_size = num_entities if pool_size == "all" else min(int(pool_size), num_entities)
        if num_negatives > self.pool_size:
            raise ValueError(f"{num_negatives} negatives from a pool of {self.pool_size}: give fewer, none repeats")
        for name, features in (("image", image), ("text", text)):
            if features is not None and features.row.numel() != num_entities:
                raise ValueError(f"{name} features of {features.row.numel()} entities, expected {num_entities}")
        self.pool, self.memory_mb = pool, memory_mb
        self.epsilon, self.epsilon_schedule, self.tau = epsilon, epsilon_schedule, tau
        self.beta, self.alpha, self.max_positives, self.chunk_size = beta, alpha, max_positives, chunk_size
        self.relaxation, self.gumbel_gradient, self.missing = relaxation, gumbel_gradient, missing
        self.contrast, self.contrast_positives, self.drawn_weight = contrast, contrast_positives, drawn_weight
        self.use_contrast, self.static_shapes = use_contrast, static_shapes
        self.draws_for = "ranges" if pool_ranges else "rows"
        self.views = Views(
            entity_dim,
            relation_dim,
            image if use_image else None,
            text if use_text else None,
            attention_dim=attention_dim,
            gate_dim=gate_dim,
            gate_layers=gate_layers,
            use_structure=use_structure,
            use_guide=use_guide,
            use_free=use_free,
            zero_rows=missing == "zero",
            detach_norms=detach_norms,
            positive_image_norm=positive_image_norm,
        )

    def plan(
        self,
        batch: Batch,
        side: Side,
        facts: Facts,
        generator: torch.Generator | None = None,
        pool: Tensor | None = None,
        others: int | None = None,
    ) -> Plan:
        """What of a step follows from ids alone; made on the host, it spares a GPU every wait within the step.

        Args:
            batch: ``B`` triples.
            side: The side to replace.
            facts: Known triples on the device of the batch.
            generator: Source of randomness on the device of the batch.
            pool: Candidates without repetition, shape ``[P]``; drawn as the sampler's settings say if None.
            others: Known answers to look up beside the true one, for L_con; as many as it wants if None.
        """
        self._check(side, facts)
        return make_plan(
            batch,
            side,
            facts,
            pool,
            generator,
            kind=self.pool,
            size=self.pool_size,
            at_least=self.num_negatives,
            others=self._others if others is None else others,
            padded=self.static_shapes,
        )

    def sample(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        generator: torch.Generator | None = None,
        step: int = 0,
        plan: Plan | None = None,
        rows: slice | Share | None = None,
    ) -> Negatives:
        """Draw ``K`` hard negatives for each row; for what is not told here see :meth:`NegativeSampler.sample`.

        Args:
            generator: Source of randomness on the device of the batch, or of the plan if there is one.
            step: Steps done before, for ε.
            plan: What :meth:`plan` said of this batch and side; then neither they nor the facts are looked at.
            rows: Of which rows of the batch, or whose share, negatives are wanted, the same as of all; all if None.

        Returns:
            Negatives with straight-through ``embeddings``; their ``log_prob`` carries no gradient.
        """
        plan = self.plan(batch, side, facts, generator) if plan is None else plan
        noise = gumbel(plan.known.shape, self.views.dtype, plan.pool.device, generator)  # [B, P]
        seen = self.see(plan, model, step, self.chunk_size, rows)
        noise = noise if rows is None else noise[own_rows(rows)]  # [B', P]
        drawn = draw(seen.log_p, seen.allowed, self.num_negatives, noise)
        embeddings = straight_through(
            seen.log_p,
            seen.embeddings,
            drawn,
            tau=self.tau,
            relaxation=self.relaxation,
            gradient=self.gumbel_gradient,
        )  # [B, K, d]
        seen.positions = drawn.positions
        return Negatives(seen.pool[drawn.positions], drawn.valid, embeddings, drawn.log_prob, cache=seen)

    def see(self, plan: Plan, model: torch.nn.Module, step: int = 0, chunk_size: int | None = None, rows=None) -> Seen:
        """Compare true answers with a pool: similarities and probabilities, before any draw.

        Args:
            plan: What :meth:`plan` said.
            model: Scorer of the embeddings.
            step: Steps done before, for ε.
            chunk_size: Candidates computed at once; all, or what ``memory_mb`` says, if None.
            rows: As in :meth:`sample`.
        """
        if chunk_size is None and self.memory_mb is not None:
            each = self.views.kept_bytes(plan.relations.numel())
            chunk_size = affordable(self.memory_mb, each, plan.pool.device)
        epsilon = temperature(self.epsilon, step, self.epsilon_schedule)
        return see(self.views, plan, model, epsilon, missing=self.missing, chunk_size=chunk_size, rows=rows)

    shrink = shrink_chunks

    def loss(self, negatives: Negatives, negative_scores: Tensor, positive_scores: Tensor) -> Tensor | None:
        """``beta`` times the mean of L_con over the modalities in use; None without L_con.

        Args:
            negatives: What :meth:`sample` returned.
            negative_scores: The model's scores of them, shape ``[B, K]``; their gradient is not used.
            positive_scores: Not read.
        """
        if not self.use_contrast:
            return None
        loss = seen_contrast(
            negatives.cache,
            negatives.valid,
            negative_scores,
            alpha=self.alpha,
            num_entities=self.num_entities,
            from_facts=self.contrast_positives == "facts",
            contrast=self.contrast,
            drawn_weight=self.drawn_weight,
        )
        return self.beta * loss

    def describe(self, negatives: Negatives) -> Explanation:
        """Why each drawn negative was drawn: probabilities and similarities ``[B, K]`` at the time of the draw."""
        return explain_positions(negatives.cache, negatives.cache.positions, negatives.valid)

    @torch.no_grad()
    def explain(
        self,
        batch: Batch,
        side: Side,
        model: torch.nn.Module,
        facts: Facts,
        step: int = 0,
        k: int = 10,
        pool: Tensor | None = None,
    ) -> Explanation:
        """The most probable negatives of each row, and by which modality; for what is not told here see :meth:`sample`.

        Args:
            step: Steps done before, for ε.
            k: How many for each row, at most the size of the pool.
            pool: Candidates without repetition, shape ``[P]``; all entities if None.

        Returns:
            Explanation with shapes ``[B, k]``, the most probable first.
        """
        device = batch.relation.device
        pool = torch.arange(self.num_entities, device=device) if pool is None else pool  # [P]
        if k > pool.numel():
            raise ValueError(f"k is {k}, more than there are candidates")
        # nothing is chosen by chance here: nobody else's random numbers are taken
        plan = self.plan(batch, side, facts, torch.Generator(device), pool, others=0)
        seen = self.see(plan, model, step, self.chunk_size or 2048)
        top, positions = seen.log_p.masked_fill(~seen.allowed, -torch.inf).topk(k, dim=1)  # [B, k]
        return explain_positions(seen, positions, top > -torch.inf)

    @property
    def _others(self) -> int:
        """Known answers to look up beside the true one."""
        return self.max_positives if self.use_contrast and self.contrast_positives == "facts" else 0
