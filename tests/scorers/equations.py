"""Every scorer's equation once more, straight from its paper, for one triple of numpy vectors."""

import numpy as np


def transe(model, h, r, t):
    return model.margin - np.sum(np.abs(h + r - t) ** model.p_norm) ** (1 / model.p_norm)


def transh(model, h, r, t):
    shift, normal = np.split(r, 2)
    normal = normal / np.linalg.norm(normal)
    plane = np.eye(len(h)) - np.outer(normal, normal)
    return model.margin - np.sum((plane @ h + shift - plane @ t) ** 2)


def transd(model, h, r, t):
    (h, h_p), (r, r_p), (t, t_p) = (np.split(x, 2) for x in (h, r, t))
    one = np.eye(len(h))
    gap = (np.outer(r_p, h_p) + one) @ h + r - (np.outer(r_p, t_p) + one) @ t
    return model.margin - np.sum(gap**2)


def rotate(model, h, r, t):
    h, t = (x[: len(r)] + 1j * x[len(r) :] for x in (h, t))
    return model.margin - np.abs(h * np.exp(1j * np.pi * r / ((model.margin + 2) / len(r))) - t).sum()


def protate(model, h, r, t):
    h, r, t = (np.pi * x / ((model.margin + 2) / len(r)) for x in (h, r, t))
    return model.margin - 2 * abs(model.scale.item()) * np.abs(np.sin((h + r - t) / 2)).sum()


def pairre(model, h, r, t):
    r_h, r_t = np.split(r, 2)
    return model.margin - np.abs(h / np.linalg.norm(h) * r_h - t / np.linalg.norm(t) * r_t).sum()


def mure(model, h, r, t):
    stretch, shift = np.split(r, 2)
    return h[-2] + t[-1] - np.sum((stretch * h[:-2] - (t[:-2] + shift)) ** 2)


def distmult(model, h, r, t):
    return h @ np.diag(r) @ t


def complex_(model, h, r, t):
    h, r, t = (re + 1j * im for re, im in (np.split(x, 2) for x in (h, r, t)))
    return np.sum(h * r * t.conj()).real


def _left(q):
    """The matrix of multiplying by a quaternion from the left."""
    a, b, c, d = q
    return np.array([[a, -b, -c, -d], [b, a, -d, c], [c, d, a, -b], [d, -c, b, a]])


def quate(model, h, r, t):
    h, r, t = (x.reshape(4, -1) for x in (h, r, t))
    turned = [_left(h[:, i]) @ (r[:, i] / np.linalg.norm(r[:, i])) for i in range(h.shape[1])]
    return sum(q @ t[:, i] for i, q in enumerate(turned))


def rescal(model, h, r, t):
    return h @ r.reshape(len(h), len(t)) @ t


def tucker(model, h, r, t):
    def normed(norm, x):
        if not isinstance(norm, type(model.input_norm)) or not hasattr(norm, "running_mean"):
            return x
        mean, var, gain, bias = (
            v.detach().numpy() for v in (norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return (x - mean) / np.sqrt(var + norm.eps) * gain + bias

    product = np.einsum("kij,i,k->j", model.core.detach().numpy(), normed(model.input_norm, h), r)
    return normed(model.output_norm, product) @ t


def cp(model, h, r, t):
    return np.sum(np.split(h, 2)[0] * r * np.split(t, 2)[1])


def simple(model, h, r, t):
    (h_h, h_t), (v, w), (t_h, t_t) = (np.split(x, 2) for x in (h, r, t))
    return (np.sum(h_h * v * t_t) + np.sum(t_h * w * h_t)) / 2


def autosf(model, h, r, t):
    blocks, size = np.split(r, 4), len(r) // 4
    form = np.zeros((len(h), len(t)))
    for a, b, c, sign in model.structure:
        form[a * size : (a + 1) * size, c * size : (c + 1) * size] += sign * np.diag(blocks[b])
    return h @ form @ t


EQUATIONS = {
    "transe": transe,
    "transh": transh,
    "transd": transd,
    "rotate": rotate,
    "protate": protate,
    "pairre": pairre,
    "mure": mure,
    "distmult": distmult,
    "complex": complex_,
    "quate": quate,
    "rescal": rescal,
    "tucker": tucker,
    "cp": cp,
    "simple": simple,
    "autosf": autosf,
}


def all_scores(model, name, h, r, t, side):
    """Scores ``[B, N]`` of all entities at ``side``, one triple after the other, reciprocal relations included."""
    entity, relation = model.node_emb.weight.detach().numpy(), model.rel_emb.weight.detach().numpy()
    rows = []
    for head, rel, tail in zip(h.tolist(), r.tolist(), t.tolist(), strict=True):
        if side == "tail":
            row = [EQUATIONS[name](model, entity[head], relation[rel], e) for e in entity]
        elif model.reciprocal:
            row = [EQUATIONS[name](model, entity[tail], relation[rel + model.num_relations], e) for e in entity]
        else:
            row = [EQUATIONS[name](model, e, relation[rel], entity[tail]) for e in entity]
        rows.append(row)
    return np.array(rows)
