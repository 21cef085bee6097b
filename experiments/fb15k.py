"""FB15K: ComplEx with N3, by cross-entropy over all entities; or any scorer by drawn negatives, MMRNS among them.

    python experiments/fb15k.py                                             choose the epochs on validation
    python experiments/fb15k.py --refit --final --record                    and refit on both, and look at test once
    python experiments/fb15k.py --sampler mmrns --scorer rotate --steps 300

Reads FB15K from datasets/FB15K, from a folder named by MMKG_RAW, or from the web.

Expected: not run yet; the aim is a test MRR of 0.84, and ComplEx-N3 of the paper's authors reaches 0.86 at a rank of
2,000. An epoch takes 114 seconds of one core of an AMD EPYC (Zen 4), 60 epochs about two hours; weight of N3 and number
of epochs are guesses until validation has chosen them (--regulariser-weight 2.5e-3 1e-2).
"""

from __future__ import annotations

from recipe import drawn_negatives, run_recipe

from mmkg.cli import main_guard
from mmkg.run import RunConfig
from mmkg.training import TrainConfig

RECIPE = RunConfig(
    dataset="fb15k",
    scorer="complex",
    dim=200,
    reciprocal=True,
    initial_std=1e-3,
    objective="one_vs_all",
    train=TrainConfig(
        epochs=60,
        batch_size=500,
        both_sides=True,
        together=8,
        optimizer="adagrad",
        learning_rate=0.1,
        schedule="constant",
        subsampling=False,
        regulariser="n3",
        regulariser_weight=2.5e-3,
        validate_every=4,
        checkpoint_every=4,
        precision="bf16",
    ),
)
NEGATIVES = drawn_negatives(RECIPE)

if __name__ == "__main__":
    main_guard(lambda: run_recipe(__doc__, RECIPE, NEGATIVES))
