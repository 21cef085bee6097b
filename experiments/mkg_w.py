"""MKG-W: ComplEx with N3, by cross-entropy over all entities; or any scorer by drawn negatives, MMRNS among them.

    python experiments/mkg_w.py                                             choose the epochs on validation
    python experiments/mkg_w.py --refit --final --record                    and refit on both, and look at test once
    python experiments/mkg_w.py --sampler mmrns --scorer rotate --steps 300

Reads MKG-W from datasets/MKG-W, from a folder named by MMKG_RAW, or from the web.

Expected: not run yet, its files were not at hand; epochs and weight are DB15K's. A prototype had test MRR 0.345 when
trained on train alone for 20 epochs.
"""

from __future__ import annotations

from recipe import drawn_negatives, run_recipe

from mmkg.cli import main_guard
from mmkg.run import RunConfig
from mmkg.training import TrainConfig

RECIPE = RunConfig(
    dataset="mkg_w",
    scorer="complex",
    dim=200,
    reciprocal=True,
    initial_std=1e-3,
    objective="one_vs_all",
    train=TrainConfig(
        epochs=24,
        batch_size=500,
        both_sides=True,
        together=8,
        optimizer="adagrad",
        learning_rate=0.1,
        schedule="constant",
        subsampling=False,
        regulariser="n3",
        regulariser_weight=1e-2,
        validate_every=2,
        checkpoint_every=2,
        precision="bf16",
    ),
)
NEGATIVES = drawn_negatives(RECIPE)

if __name__ == "__main__":
    main_guard(lambda: run_recipe(__doc__, RECIPE, NEGATIVES))
