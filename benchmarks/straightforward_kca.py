"""MMRNS written straight from its equations: the oracle of the tests and the benchmark's rival.

Slow and large on purpose: ``[B, P, I, a]`` and ``[B, K, P]`` are built, nothing is folded, grouped or streamed. It
reads the parameters of a :class:`mmkg.samplers.MMRNS` and shares with it only the random numbers (pool, positives,
noise).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mmkg.samplers.mmrns.draw import gumbel


def branch_rows(kca, content, content_mask, row_mask, guide, other, norm_free=True) -> Tensor:
    """One modality, relation-free plus relation-guided, unprojected: ``[B, P, O, a]`` for content ``[B, P, J, a]``."""

    def norm(x):
        return F.layer_norm(x, x.shape[-1:], kca.norm.weight, kca.norm.bias, 1e-5)

    products = other @ content.transpose(-1, -2)  # [B, P, O, J]
    rows = torch.zeros_like(other)  # [B, P, O, a]
    if kca.use_free:
        attention = products.masked_fill(~content_mask[:, :, None], -torch.inf).softmax(-1)  # [B, P, O, J]
        free = attention @ content  # [B, P, O, a]
        rows = rows + (norm(free) if norm_free else free)
    if kca.use_guide:
        weights = products * guide * content_mask[:, :, None]  # [B, P, O, J]
        rows = rows + norm(weights @ content)
    return rows * row_mask[..., None]


def kca_views(kca, image, text, relation, positive_image_norm=True) -> dict[str, Tensor]:
    """KCA of candidates under relations ``[B, d_r]``: each ``[B, P, a]``.

    Values and masks of the candidates are ``[B, P, ...]``, or ``[1, P, ...]`` where the batch shares them.
    """
    shape = (image or text)[0].shape[:2]

    def encode(given, layer, null):
        if given is None:
            ones = torch.ones(*shape, null.shape[0], dtype=torch.bool, device=null.device)
            return null.expand(*shape, -1, -1), ones
        values, mask = given
        rows = F.leaky_relu(values @ layer.weight.T + layer.bias, 0.1)  # [B, P, R, a]
        gone = ~mask.any(-1)  # [B, P]
        if null is not None:
            rows = torch.where(gone[..., None, None], null, rows)
        return rows, mask | gone[..., None]

    e_i, mask_i = encode(image, kca.image_in, kca.null_image)  # [B, P, I, a]
    e_t, mask_t = encode(text, kca.text_in, kca.null_text)  # [B, P, T, a]
    count_i, count_t = e_i.shape[2], e_t.shape[2]

    def guide(branch):
        if not kca.use_guide:
            return None
        flat = torch.sigmoid(relation @ branch.guide_in.weight.T + branch.guide_in.bias)  # [B, I * T]
        return flat.view(-1, 1, count_i, count_t)  # [B, 1, I, T]

    views = {}
    if kca.image is not None:
        by_sentence = guide(kca.image)
        by_sentence = None if by_sentence is None else by_sentence.transpose(-1, -2)  # [B, 1, T, I]
        rows = branch_rows(kca, e_i, mask_i, mask_t, by_sentence, e_t, positive_image_norm)  # [B, P, T, a]
        views["image"] = rows.flatten(2) @ kca.image.project.weight.T + kca.image.project.bias  # [B, P, a]
    if kca.text is not None:
        rows = branch_rows(kca, e_t, mask_t, mask_i, guide(kca.text), e_i)  # [B, P, I, a]
        views["text"] = rows.flatten(2) @ kca.text.project.weight.T + kca.text.project.bias  # [B, P, a]
    return views


def structure_view(gate, entity, relation) -> Tensor:
    """Gated embeddings ``[B, P, d]`` of candidates ``[B or 1, P, d]`` under relations ``[B, d_r]``."""
    rows, count = len(relation), entity.shape[1]
    entity = entity.expand(rows, -1, -1)
    both = torch.cat([entity, relation[:, None].expand(-1, count, -1)], dim=-1)  # [B, P, d + d_r]
    hidden = both @ gate.first.weight.T + gate.first.bias
    if gate.second is not None:
        hidden = F.leaky_relu(hidden, 0.1) @ gate.second.weight.T + gate.second.bias
    return entity * torch.sigmoid(hidden)


def all_views(views, model, ids, relation, positive=False) -> dict[str, Tensor]:
    """All views of candidates ``[B, P]`` or ``[1, P]``, each ``[B, P, a]`` or ``[B, P, d]``."""
    found = {}
    if views.kca is not None:
        given = []
        for name in ("image", "text"):
            if name not in views.features:
                given.append(None)
                continue
            values, mask = views.features[name].gather(ids.flatten())
            mask = torch.ones_like(mask) if views.zero_rows else mask
            given.append((values.to(relation.dtype).view(*ids.shape, *values.shape[1:]), mask.view(*ids.shape, -1)))
        found = kca_views(views.kca, *given, relation, views.positive_image_norm or not positive)
    if views.gate is not None:
        found["structure"] = structure_view(views.gate, model.entity(ids).to(relation.dtype), relation)
    return found


def cosine(left, right, detach_norms=False) -> Tensor:
    """``[B, P]`` from positives ``[B, 1, a]`` and candidates ``[B, P, a]``."""
    lengths = [(x.detach() if detach_norms else x).norm(dim=-1) for x in (left, right)]
    return (left * right).sum(-1) / (lengths[0] * lengths[1] + 1e-10)


def mixture(similarities, shared, epsilon, rule) -> Tensor:
    """Probabilities ``[B, P]`` by the formulas, not in log space."""
    some = next(iter(similarities.values()))
    total, modalities = torch.zeros_like(some), torch.zeros_like(some)
    for name, similarity in similarities.items():
        mask = shared[name].to(some.dtype)  # [B, P]
        count = mask.sum(1, keepdim=True)  # [B, 1]
        weights = (similarity / epsilon).exp() * mask
        softmax = weights / weights.sum(1, keepdim=True).clamp(min=1e-300)
        total = total + softmax * (count / some.shape[1] if rule == "corrected" else 1.0)
        modalities = modalities + mask
    p = torch.where(modalities > 0, total / modalities.clamp(min=1), 1.0 / some.shape[1])
    return p / p.sum(1, keepdim=True)


def relaxed_draws(log_p, allowed, noise, num, tau, relaxation) -> tuple[Tensor, Tensor, Tensor]:
    """K draws one after another: relaxed ``[B, K, P]`` kept for autograd, positions and validity ``[B, K]``."""
    mask, time = allowed.clone(), log_p.new_zeros(len(log_p), 1)  # [B, P], [B, 1]
    arrival = torch.exp(-(log_p + noise)).detach()  # [B, P]
    rows, positions, valid = [], [], []
    for k in range(num):
        g = noise
        if relaxation == "fresh" and k:
            g = -torch.log((arrival - time).clamp(min=1e-300)) - log_p.detach()  # [B, P], what remains, as noise
        logits = ((log_p + g) / tau).masked_fill(~mask, -torch.inf)  # [B, P]
        some = mask.any(1, keepdim=True)  # [B, 1]
        rows.append(torch.where(some, logits, 0.0).softmax(1))  # [B, P]
        position = (log_p + noise).masked_fill(~mask, -torch.inf).argmax(1, keepdim=True)  # [B, 1]
        positions.append(position)
        valid.append(some)
        time = arrival.gather(1, position)
        mask = mask.scatter(1, position, False)
    return torch.stack(rows, 1), torch.cat(positions, 1), torch.cat(valid, 1)


def straight_through(pool, relaxed, positions, valid, sign=1.0) -> Tensor:
    """``(onehot + y - sg(y)) E`` ``[B, K, d]``; the gradient into y times ``sign``, none to undrawn embeddings."""
    hard = F.one_hot(positions, relaxed.shape[-1]).to(relaxed.dtype)  # [B, K, P]
    mixed = hard + sign * (relaxed - relaxed.detach()) * valid[..., None]  # [B, K, P]
    return mixed @ pool * valid[..., None] + (hard @ pool).detach() * ~valid[..., None]


def contrastive(positive, positive_mask, negative, negative_mask, q, base, contrast) -> Tensor:
    """One modality's L_con by the formula; ``q [B, P]`` weighs candidates, ``base`` (a number or such) positives."""
    up = (positive.exp() * base * positive_mask).sum(1)  # [B]
    down = (negative.exp() * q * negative_mask).sum(1)  # [B]
    if contrast == "batch":
        return -(up.sum() / down.sum()).log()
    use = positive_mask.any(1) & negative_mask.any(1)
    return -(up[use] / down[use]).log().sum() / max(int(use.sum()), 1)


def step(sampler, batch, side, model, facts, score, generator=None, number=0) -> tuple[Tensor, Tensor, Tensor]:
    """A whole step: (L_kgc of the negatives + L_con, ids, valid), with the random numbers of ``sampler.sample``."""
    views, count = sampler.views, sampler.num_entities
    plan = sampler.plan(batch, side, facts, generator)  # which ids are looked at; nothing else is taken from it
    pool, answers, filled = plan.pool, plan.answers, plan.filled  # [P], [B, 1 + J], [B, 1 + J]
    noise = gumbel((len(batch), len(pool)), views.dtype, pool.device, generator)  # [B, P]
    relation = model.relation(batch.relation, side).to(views.dtype)  # [B, d_r]
    of_answers = all_views(views, model, answers, relation, positive=True)
    of_pool = all_views(views, model, pool[None], relation)
    first = {m: v[:, :1] for m, v in of_answers.items()}  # [B, 1, a]
    similarities = {m: cosine(first[m], of_pool[m], views.detach_norms) for m in of_pool}  # [B, P]
    own = {m: cosine(first[m], of_answers[m], views.detach_norms) for m in of_pool}  # [B, 1 + J]
    has = {m: views.present(m, torch.arange(count, device=pool.device)) for m in of_pool}  # [N]
    shared = {m: has[m][pool] & has[m][answers[:, :1]] for m in of_pool}
    own_shared = {m: has[m][answers] & has[m][answers[:, :1]] & filled for m in of_pool}
    epsilon = sampler.epsilon / (1 + math.log(number + 1)) if sampler.epsilon_schedule else sampler.epsilon
    log_p = mixture(similarities, shared, epsilon, sampler.missing).log()  # [B, P]
    known = facts.mask(batch, side, pool) | (pool == answers[:, :1])  # [B, P]
    relaxed, positions, valid = relaxed_draws(
        log_p, ~known, noise, sampler.num_negatives, sampler.tau, sampler.relaxation
    )
    sign = {"descend": 1.0, "reverse": -1.0, "none": 0.0}[sampler.gumbel_gradient]
    embeddings = straight_through(model.entity(pool), relaxed, positions, valid, sign)  # [B, K, d]
    negative_scores = score(batch, side, model, embeddings)  # [B, K]
    total = objective(negative_scores, valid)
    if sampler.use_contrast:
        w = (sampler.alpha * negative_scores.detach()).masked_fill(~valid, -torch.inf).softmax(1).nan_to_num()  # [B, K]
        equation = sampler.drawn_weight == "equation"
        base = 1.0 / (count if equation else len(pool))
        q = torch.full_like(log_p, base)  # [B, P]
        q = q.scatter(1, positions, torch.where(valid, w if equation else w * base, base))  # [B, P]
        parts = []
        for m in of_pool:
            negative = (similarities[m], shared[m] & ~known)
            if sampler.contrast_positives == "facts":
                parts.append(contrastive(own[m], own_shared[m], *negative, q, 1.0 / count, sampler.contrast))
            else:
                positive = (similarities[m], shared[m] & known)
                parts.append(contrastive(*positive, *negative, q, q, sampler.contrast))
        total = total + sampler.beta * sum(parts) / len(parts)
    return total, pool[positions], valid


def objective(negative_scores: Tensor, valid: Tensor) -> Tensor:
    """The negatives' half of L_kgc, unweighted: enough to send a gradient through the draw."""
    return -(F.logsigmoid(-negative_scores) * valid).sum() / valid.sum().clamp(min=1)


def transe(batch, side, model, candidates) -> Tensor:
    """TransE's scores ``[B, K]`` of candidates ``[B, K, d]`` with margin 6 (relations as wide as entities)."""
    sign = 1.0 if side == "tail" else -1.0
    query = model.entity(batch.anchor(side)) + sign * model.relation(batch.relation, side)  # [B, d]
    return 6.0 - (query[:, None] - candidates).abs().sum(-1)
