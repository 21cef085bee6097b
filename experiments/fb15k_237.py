"""FB15k-237: TODO."""

from __future__ import annotations

from dataclasses import replace

from recipe import COMPLEX_N3, DRAWN, run_recipe

from mmkg.cli import main_guard

RECIPE = replace(COMPLEX_N3, dataset="fb15k_237")
NEGATIVES = replace(DRAWN, dataset="fb15k_237")

if __name__ == "__main__":
    main_guard(lambda: run_recipe(__doc__, RECIPE, NEGATIVES))
