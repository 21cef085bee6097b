"""WN18RR: TODO."""

from __future__ import annotations

from dataclasses import replace

from recipe import COMPLEX_N3, DRAWN, run_recipe

from mmkg.cli import main_guard

RECIPE = replace(COMPLEX_N3, dataset="wn18rr")
NEGATIVES = replace(DRAWN, dataset="wn18rr")

if __name__ == "__main__":
    main_guard(lambda: run_recipe(__doc__, RECIPE, NEGATIVES))
