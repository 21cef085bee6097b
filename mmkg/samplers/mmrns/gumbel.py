"""Straight-through embeddings of drawn candidates: hard forward, relaxed backward, ``[B, K, P]`` never kept."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mmkg.samplers.mmrns.draw import Draw, log_left
from mmkg.samplers.mmrns.parts import parts

RELAXATIONS = ("fresh", "shared")
GRADIENTS = {"descend": 1.0, "reverse": -1.0, "none": 0.0}
"""Factor on the gradient into log p: the paper's, its opposite, or no gradient.

Descending need not make negatives easier: the straight-through gradient takes the tangent at what was drawn for
everyone's score. For TransE and RotatE, whose scores are concave, it mostly points away from the gradient of the
expected loss (experiments/straight_through.py), and descending makes negatives harder.
"""


def straight_through(
    log_p: Tensor, pool: Tensor, drawn: Draw, *, tau: float = 1.0, relaxation: str = "fresh", gradient: str = "descend"
) -> Tensor:
    r"""Embeddings of the drawn candidates with a gradient into log p.

    Forward they are ``pool[positions]``. Backward the k-th counts as :math:`\sum_p y_{kp} E_p` with relaxed draws

    .. math:: y_k = \mathrm{softmax}((\log p + \log \mathrm{mask}_k + g^{(k)}) / τ)

    where :math:`\mathrm{mask}_k` leaves out known positives and what was drawn before k. The gradient into the drawn
    embeddings themselves always flows, and through them alone. ``"fresh"`` uses the conditional law of the noise after
    each draw, ``"shared"`` the one perturbation for all draws, which flattens later ones (DESIGN, "Cheap" 5).

    Args:
        log_p: Log-probabilities, shape ``[B, P]``.
        pool: Embeddings of the candidates, shape ``[P, d]``.
        drawn: What :func:`~mmkg.samplers.mmrns.draw.draw` returned for these probabilities.
        tau: Temperature of the relaxation, above 0.
        relaxation: ``"fresh"`` or ``"shared"``.
        gradient: ``"descend"``, ``"reverse"`` or ``"none"``: the sign with which the gradient reaches log p; see
            :data:`GRADIENTS`.

    Returns:
        Shape ``[B, K, d]``.
    """
    function = {"fresh": _Fresh, "shared": _Shared}[relaxation]
    return function.apply(log_p, pool, drawn.perturbed, drawn.positions, drawn.valid, tau, GRADIENTS[gradient])


class _StraightThrough(torch.autograd.Function):
    """The parts that both relaxations share; each says in ``relaxed`` how the gradient reaches log p."""

    @staticmethod
    def forward(ctx, log_p, pool, perturbed, positions, valid, tau, sign):
        ctx.save_for_backward(pool, perturbed, positions, valid)
        ctx.tau, ctx.sign, ctx.dtype = tau, sign, log_p.dtype
        return pool[positions]  # [B, K, d]

    @classmethod
    def _gradients(cls, ctx, incoming: Tensor):
        pool, perturbed, positions, valid = ctx.saved_tensors
        incoming = incoming * valid[..., None]  # [B, K, d], an invalid draw teaches nothing
        to_pool = to_log_p = None
        if ctx.needs_input_grad[1]:
            flat = incoming.flatten(0, 1).to(pool.dtype)  # [B * K, d]
            to_pool = torch.zeros_like(pool).index_add_(0, positions.flatten(), flat)  # [P, d]
        if ctx.needs_input_grad[0] and ctx.sign:
            incoming, pool = incoming.to(ctx.dtype), pool.to(ctx.dtype)
            to_log_p = cls.relaxed(incoming, pool, perturbed, positions, valid, ctx.tau) * (ctx.sign / ctx.tau)
        return to_log_p, to_pool, None, None, None, None, None


class _Fresh(_StraightThrough):
    r"""Noise restarted after each draw.

    Arrival times :math:`T = \exp(-(\log p + \log \mathrm{mask} + g))` are exponential with rate p. By memorylessness
    what remains of them after the draw at time :math:`t_{k-1}` is exponential again, so
    :math:`-\log(T - t_{k-1}) = \log p + g^{(k)}` with fresh Gumbel noise, held constant here. With perturbed values
    :math:`φ = -\log T` this is :math:`φ_p - \log(1 - e^{φ_p - φ_{k-1}})`, which no range overflows.
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming):
        return _Fresh._gradients(ctx, incoming)

    @staticmethod
    def relaxed(incoming, pool, perturbed, positions, valid, tau):
        total = torch.zeros_like(perturbed)  # [B, P]
        numbers = torch.arange(positions.shape[1], dtype=torch.int32, device=positions.device)  # [K]
        order = torch.full_like(perturbed, len(numbers), dtype=torch.int32)  # [B, P], when a candidate is drawn
        order.scatter_(1, positions, numbers.expand_as(positions))
        times = perturbed.gather(1, positions)  # [B, K], -inf where not valid
        for part in parts(len(numbers), perturbed.numel(), perturbed.device):
            # a draw that does not exist has an incoming slope of zero
            number = numbers[part, None]  # [k, 1]
            left = torch.where(order[:, None] < number, -torch.inf, perturbed[:, None])  # [B, k, P]
            before = F.pad(times, (1, 0), value=torch.inf)[:, part, None]  # [B, k, 1]
            y = fresh_draw(left, before, valid[:, part], tau)  # [B, k, P]
            slope = (incoming[:, part].flatten(0, 1) @ pool.T).view_as(y)  # [B, k, P]
            slope.sub_(torch.linalg.vecdot(y, slope)[..., None])
            total += y.mul_(slope).sum(dim=1)  # [B, P]
        return total


def fresh_draw(left: Tensor, before: Tensor, valid: Tensor, tau: float) -> Tensor:
    """The relaxed draws ``y_k`` of the "fresh" relaxation.

    Args:
        left: Perturbed log-probabilities of what is left before draw k, -inf elsewhere, shape ``[..., P]``.
        before: Perturbed log-probability of the draw before, infinite at the first draw, shape ``[..., 1]``.
        valid: Where draw k exists, shape ``[...]``; others come out uniform.
        tau: Temperature.

    Returns:
        Weights that sum to 1, shape ``[..., P]``.
    """
    # a tie with the draw before would restart at time zero: keep it one rounding away
    gap = (left - before).clamp_(max=-torch.finfo(left.dtype).eps)  # [..., P]
    logits = torch.sub(left, gap.expm1_().neg_().log_(), out=gap)  # [..., P], in the one piece of memory
    logits = logits if tau == 1.0 else logits.div_(tau)
    logits.masked_fill_(~valid[..., None], 0.0)  # [..., P], finite where nothing is left
    return logits.softmax(dim=-1)


class _Shared(_StraightThrough):
    r"""One perturbation for all draws, in :math:`O(B P d)`.

    With :math:`z = φ / τ`, :math:`L_k` = logsumexp of the candidates not drawn before k and :math:`L_∞` that of those
    never drawn, :math:`e = \exp(z - L_∞)` over the never-drawn, :math:`f_k = \exp(L_∞ - L_k)`,
    :math:`Y_{kj} = \exp(z_j - L_k)` for drawn :math:`j ≥ k` and incoming :math:`G_k`:

    .. math::
        s_k &= f_k ⟨\sum_q e_q E_q, G_k⟩ + \sum_{j ≥ k} Y_{kj} ⟨E_j, G_k⟩ \\
        ∂z_p &= e_p (⟨E_p, \sum_k f_k G_k⟩ - \sum_k f_k s_k) \quad \text{never drawn} \\
        ∂z_j &= \sum_{k ≤ j} Y_{kj} (⟨E_j, G_k⟩ - s_k) \quad \text{drawn}
    """

    @staticmethod
    @once_differentiable
    def backward(ctx, incoming):
        return _Shared._gradients(ctx, incoming)

    @staticmethod
    def relaxed(incoming, pool, perturbed, positions, valid, tau):
        z = perturbed / tau  # [B, P]
        drawn = z.gather(1, positions)  # [B, K], -inf where not valid
        never = z.scatter(1, positions, -torch.inf)  # [B, P]
        rest = never.logsumexp(dim=1)  # [B]
        some = rest > -torch.inf  # [B], rows in which anything was never drawn
        left = log_left(drawn, rest)[:, :-1]  # [B, K], L_k
        left = torch.where(valid, left, 0.0)  # [B, K], finite where nothing is left
        share = torch.exp(rest[:, None] - left) * valid  # [B, K], f_k
        e = torch.exp(never - torch.where(some, rest, 0.0)[:, None])  # [B, P], zero where nothing is left
        y = torch.exp(drawn[:, None, :] - left[:, :, None]).triu() * valid[:, :, None]  # [B, K, K], from k to j >= k
        slope = incoming @ pool[positions].transpose(1, 2)  # [B, K, K], <E_j, G_k>
        s = share * torch.einsum("bd,bkd->bk", e @ pool, incoming) + (y * slope).sum(dim=2)  # [B, K]
        weighted = torch.einsum("bk,bkd->bd", share, incoming)  # [B, d]
        total = e * (weighted @ pool.T - (share * s).sum(dim=1, keepdim=True))  # [B, P]
        return total.scatter_add(1, positions, (y * (slope - s[:, :, None])).sum(dim=1))  # [B, P], e = 0 where drawn
