"""Negative samplers: what to set against a true triple.

==============  ========================  ==============================================================================
Name            Paper                     Law of a negative of (h, r, ?); heads likewise. Known answers never come.
==============  ========================  ==============================================================================
``uniform``     —                         Uniform over the unknown entities.
``bernoulli``   TransH (Wang 2014)        The same, at the head with probability tph / (tph + hpt) of r, else the tail.
``shared``      PBG (Lerer 2019)          Uniform over the unknown entities, without replacement; one list for all rows.
``frequency``   word2vec (Mikolov 2013)   Popularity to the power 3/4 over the unknown entities.
``typed``       Krompaß et al. 2015       Uniform over the unknown entities that the graph shows as tails of r.
``in_batch``    SimCLR (Chen 2020)        Other rows' answers, without replacement among rows.
``sans``        SANS (Ahrabian 2020)      Uniform over the unknown entities within k hops of h, or met by random walks.
``nscaching``   NSCaching (Zhang 2019)    Uniform over a cache of (h, r), which keeps entities by softmax of the model's
                                          scores.
``kbgan``       KBGAN (Cai 2018)          Softmax of a generator's scores over uniform candidates; learns by REINFORCE.
``mans``        MANS (Zhang 2023)         The answer with a uniform stranger's picture or text; the rest uniform.
``mmrns``       MMRNS (Xu 2022)           Softmax of similarity to the answer by image, text and structure through r,
                                          without replacement; learns by contrast and through the scorer's loss.
==============  ========================  ==============================================================================

Draws are with replacement unless said otherwise. None rejects: each law is met exactly, at the same cost for every row,
and ``valid`` is False where nothing is left to draw. Self-adversarial weights are a matter of the objective
(:class:`mmkg.training.SelfAdversarial`) and go with any of these.

All are built as ``SAMPLERS[name](num_entities, num_negatives, ...)`` but for MMRNS, which takes the widths of the
model's embeddings and the features in place of the number of negatives; NSCaching also needs the training ``facts``,
KBGAN ``num_relations``. MANS needs a model with fused entities when it draws. :class:`Replay` has no name there: it
gives again what another sampler drew, from a file.
"""

from mmkg.samplers.base import NegativeSampler
from mmkg.samplers.bernoulli import BernoulliSampler
from mmkg.samplers.frequency import FrequencySampler
from mmkg.samplers.in_batch import InBatchSampler
from mmkg.samplers.kbgan import KBGAN
from mmkg.samplers.mans import MANS
from mmkg.samplers.mmrns import MMRNS, PUBLISHED, Explanation
from mmkg.samplers.nscaching import NSCaching
from mmkg.samplers.replay import Replay
from mmkg.samplers.sans import SANS
from mmkg.samplers.shared import SharedSampler
from mmkg.samplers.typed import TypedSampler
from mmkg.samplers.uniform import UniformSampler

SAMPLERS: dict[str, type[NegativeSampler]] = {
    "uniform": UniformSampler,
    "bernoulli": BernoulliSampler,
    "shared": SharedSampler,
    "frequency": FrequencySampler,
    "typed": TypedSampler,
    "in_batch": InBatchSampler,
    "sans": SANS,
    "nscaching": NSCaching,
    "kbgan": KBGAN,
    "mans": MANS,
    "mmrns": MMRNS,
}
"""Samplers by the name that the command line knows them under."""

__all__ = [
    "KBGAN",
    "MANS",
    "MMRNS",
    "PUBLISHED",
    "SAMPLERS",
    "SANS",
    "BernoulliSampler",
    "Explanation",
    "FrequencySampler",
    "InBatchSampler",
    "NSCaching",
    "NegativeSampler",
    "Replay",
    "SharedSampler",
    "TypedSampler",
    "UniformSampler",
]
