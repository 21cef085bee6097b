"""Figure and table of experiments/hard_negatives.py, from what it recorded and from nothing else."""

from __future__ import annotations

import json

import pandas as pd
from common import RESULTS, mean_sd

from mmkg.analysis.census_plots import plot_course, plot_frontier, plot_rates
from mmkg.analysis.falseness import wilson
from mmkg.errors import DataError

FOLDER = RESULTS / "hard_negatives"
LAST = 0.25  # the summary is over the probes in this last part of the training


def summary(name: str, found: list[dict]) -> dict[str, str]:
    """A variant over its seeds as a row of the table."""

    def late(column: str) -> list[float]:
        last = [[r[column] for r in f["course"] if r["step"] > (1 - LAST) * f["course"][-1]["step"]] for f in found]
        return [sum(values) / len(values) for values in last]

    def false(source: str) -> str:
        rows = [r for f in found for r in f["false"] if r["source"] == source]
        k, n = sum(r["false"] for r in rows), sum(r["negatives"] for r in rows)
        low, high = wilson(k, n)
        return f"{k / n:.2%} ({low:.2%} to {high:.2%})"

    drawn = [next(r for r in f["popularity"] if r["source"] == "sampler") for f in found]
    return {
        "negatives": name,
        "valid MRR": mean_sd([f["valid_mrr"] for f in found]),
        "score above the answer": mean_sd(late("above"), 3),
        "beat a uniform one": mean_sd(late("beats_uniform"), 3),
        "held-out facts, at least": false("sampler"),
        "uniform ones, same model": false("uniform"),
        "gradient": mean_sd(late("total"), 4),
        "vanished": mean_sd(late("vanished"), 3),
        "gradient on held-out facts": mean_sd(late("on_false_at_least"), 4),
        "drawn last time too": mean_sd(late("since_last"), 3),
        "degree / uniform": mean_sd([d["ratio"] for d in drawn], 2),
        "seconds": f"{sum(f['seconds'] for f in found) / len(found):.0f}",
    }


def draw() -> None:
    """Figure and table from the recorded JSONs, a row of the figure for each dataset."""
    from matplotlib.figure import Figure

    entries = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(FOLDER.glob("*.json"))]
    if not entries:
        raise DataError("nothing is recorded yet", file=FOLDER, cure="run with --record first")
    figure = Figure(figsize=(22, 4.8 * len(entries)), layout="constrained")
    for line, entry in zip(figure.subplots(len(entries), 5, squeeze=False), entries, strict=True):
        course, rates = over_seeds(entry, "course"), over_seeds(entry, "false_by_category")
        plot_course(course, "beats_uniform", line[0], line="variant")
        plot_course(course, "total", line[1], line="variant", log=True)
        plot_course(course, "on_false_at_least", line[2], line="variant")
        rates = rates[rates.source == "sampler"].assign(asked=rates.category + "\n" + rates.side)
        rates = rates.groupby(["variant", "asked"], sort=False)[["negatives", "false"]].sum()
        low, high = wilson(rates.false, rates.negatives)
        rates = rates.assign(rate_at_least=rates.false / rates.negatives, low=low, high=high).reset_index()
        plot_rates(rates, line[3], group="asked", bar="variant")
        line[3].set_xlabel("relation category and side asked for", fontsize=9)
        tables = {v: pd.DataFrame(f[0]["frontier"]) for v, f in entry["variants"].items() if "frontier" in f[0]}
        plot_frontier(tables, line[4])
        line[4].set_title("MMRNS at the end, by ε (validation facts)", fontsize=8, color="#555555")
        line[0].set_title(f"{entry['dataset']}, {entry['steps']:,} steps", loc="left", fontsize=11, fontweight="bold")
        for axis in (line[1], line[2], line[3], *([line[4]] if len(tables) == 1 else [])):
            axis.get_legend().remove()  # the first says it for all
    figure.savefig(FOLDER / "hard_negatives.png", dpi=90, facecolor="white")
    (FOLDER / "table.md").write_text("\n".join(line for e in entries for line in page(e)), encoding="utf-8")
    print(f"figure and table are in {FOLDER}")


def page(entry: dict) -> list[str]:
    """A dataset's part of the table."""
    rows = entry["summary"]
    lines = [f"## {entry['dataset']}", "", f"| {' | '.join(rows[0])} |", "|---" + "|---:" * (len(rows[0]) - 1) + "|"]
    lines += [f"| {' | '.join(row.values())} |" for row in rows]
    told = (
        f"`{entry['command']}`: the last {LAST:.0%} of {entry['steps']:,} steps from scratch, seeds {entry['seeds']}; "
    )
    told += (
        f"MMRNS looks at {', '.join(entry['modalities'])}. Rates of held-out facts (with Wilson's 95 % intervals) are "
    )
    told += "lower bounds: many truths stand in no split. The gradient is that on a question's negatives, 0.5 at most. "
    told += f"{entry['device']}, PyTorch {entry['versions']['torch']}, {entry['date']}."
    return [*lines, "", told, ""]


def over_seeds(entry: dict, table: str) -> pd.DataFrame:
    """A table of all variants, with the mean over seeds where it is a course."""
    rows = [
        pd.DataFrame(f[table]).assign(variant=v, seed=seed)
        for v, found in entry["variants"].items()
        for seed, f in enumerate(found)
    ]
    frame = pd.concat(rows, ignore_index=True)
    if table != "course":
        return frame
    return frame.groupby(["variant", "step"], sort=False).mean(numeric_only=True).reset_index()
