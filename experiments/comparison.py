"""What the results of compare.py say: means, gains with paired tests, and quality at equal time."""

from __future__ import annotations

import json
from statistics import median

import torch
from common import mean_sd
from variants import VARIANTS

from mmkg.errors import DataError
from mmkg.evaluation import paired_test
from mmkg.types import SIDES, Ranks

BASE, WEIGHED = "uniform", "self-adversarial"
"""What each row is compared with: uniform negatives, and the same with MMRNS's weights of negatives."""


def told_ranks(ranks: Ranks) -> dict[str, str]:
    """Realistic ranks as JSON holds them: for each side a line, in the order of the split's triples."""
    return {
        side: " ".join(f"{rank:g}" for rank in ranks.select(ranks.side == number).realistic.tolist())
        for number, side in enumerate(SIDES)
    }


def read_ranks(told: dict[str, str]) -> Ranks:
    """The inverse of :func:`told_ranks`; which of two tied ranks it was is forgotten."""
    sides = [torch.tensor([float(word) for word in told[side].split()], dtype=torch.float64) for side in SIDES]
    rank = torch.cat(sides)  # [Q]
    side = torch.arange(len(SIDES)).repeat_interleave(len(sides[0]))  # [Q]
    triple = torch.arange(len(sides[0])).repeat(len(SIDES))  # [Q]
    return Ranks(rank, rank, torch.zeros_like(triple), side, triple)


def joined(entries: list[dict]) -> Ranks:
    """Ranks of several seeds: a triple has then as many questions as seeds and sides, and is still one triple."""
    parts = [read_ranks(entry["ranks"]) for entry in entries]
    names = ("optimistic", "pessimistic", "candidates", "side", "triple")
    return Ranks(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def gain(entries: list[dict], base: list[dict]) -> tuple[list[float], float] | None:
    """Differences of validation MRR to another row, by seed, and p of the sign-flip test over triples.

    Returns:
        None if no seed is in both rows.

    Raises:
        ValueError: If the two rows are not of the same graph.
    """
    theirs = {entry["seed"]: entry for entry in base}
    pairs = [(entry, theirs[entry["seed"]]) for entry in entries if entry["seed"] in theirs]
    if not pairs:
        return None
    if len({entry["graph"] for pair in pairs for entry in pair}) > 1:
        raise ValueError("results of different graphs or splits: train the older ones anew")
    differences = [mrr(entry) - mrr(other) for entry, other in pairs]
    first, second = joined([other for _, other in pairs]), joined([entry for entry, _ in pairs])
    return differences, float(paired_test(first, second, at=()).loc["mrr", "p_permutation"])


def holm(values: dict[str, float]) -> dict[str, float]:
    """Holm's correction of p-values for their number."""
    worst, corrected = 0.0, {}
    for place, name in enumerate(sorted(values, key=values.get)):
        worst = max(worst, min(1.0, (len(values) - place) * values[name]))
        corrected[name] = worst
    return corrected


def terms(entry: dict) -> dict:
    """What must be equal for rows to be compared."""
    config = entry["config"]
    train = {name: config["train"][name] for name in ("batch_size", "learning_rate", "steps")}
    sampler = {name: config["sampler"][name] for name in ("negatives", "pool")}
    told = {name: entry[name] for name in ("dataset", "scorer", "device", "warm_up_steps")}
    return told | {"dim": config["dim"]} | train | sampler


def budgets(entries: list[dict]) -> list[list[dict]]:
    """Results that may be compared, the fewest steps first; the first of each is a run of equal steps.

    Runs of equal time go with the fewest steps that are as theirs in all else.
    """
    groups: list[list[dict]] = []
    for entry in sorted(entries, key=lambda e: ("seconds" in e["budget"], terms(e)["steps"])):
        own = terms(entry)
        if "seconds" in entry["budget"]:
            del own["steps"]
        mine = next((group for group in groups if own.items() <= terms(group[0]).items()), None)
        if mine is not None:
            mine.append(entry)
        elif "steps" in own:
            groups.append([entry])
        else:
            problem = f"{entry['variant']}, seed {entry['seed']}: a run of equal time beside no run of equal steps"
            raise DataError(problem, cure="compare without --seconds first")
    return groups


def mrr(entry: dict) -> float:
    """Validation MRR, realistic ranks."""
    return entry["valid"]["realistic"]["mrr"]


def step_seconds(entry: dict) -> float | None:
    """CPU seconds of a training step; None if there were too few to tell."""
    return entry["cost"]["cpu_seconds_a_step"]


def within(entry: dict, seconds: float) -> float | None:
    """Best validation MRR that a run had reached after so many CPU seconds of training.

    Returns:
        None if it was not trained for that long, or not validated within that time.
    """
    each = step_seconds(entry)
    # a run of equal time had the steps that fit by the clock of its run of equal steps, whatever its own clock says
    timed = entry["budget"].get("seconds") == seconds
    if each is None or (not timed and entry["steps"] * each < 0.9 * seconds):
        return None
    # the clock of one run is not exact: a validation just behind the bound counts
    seen = [point["valid_mrr"] for point in entry["history"] if point["step"] * each <= 1.05 * seconds]
    return max(seen, default=None)


def rows(entries: list[dict]) -> list[dict[str, str]]:
    """One row a variant of one dataset and scorer, in the order of the comparison; "not applicable" rows last.

    Args:
        entries: Results of compare.py; those with a budget of seconds give the column at equal time.
    """
    stepped = [e for e in entries if "steps" in e["budget"]]
    if len(told := {json.dumps(terms(e)) for e in stepped}) > 1:
        problem = f"results of {len(told)} different budgets: {'; '.join(sorted(told))}"
        raise DataError(problem, cure="take those of each apart, see budgets")
    times = {e["budget"]["seconds"] for e in entries if "seconds" in e["budget"]}
    of = {name: [e for e in stepped if e["variant"] == name] for name in VARIANTS}
    of = {name: sorted(found, key=lambda e: e["seed"]) for name, found in of.items() if found}
    gains = {base: _gains(of, base) for base in (BASE, WEIGHED)}
    table = []
    for name, found in of.items():
        row = {"negatives by": name, "seeds": str(len(found)), "validation MRR": mean_sd([mrr(e) for e in found])}
        row["Hits@10"] = mean_sd([e["valid"]["realistic"]["hits@10"] for e in found], 3)
        for base, known in gains.items():
            row[f"− {base}"], row["p" if base == BASE else "p "] = known.get(name, ("", ""))
        for seconds in sorted(times):
            longest = {e["seed"]: e for e in found} | {
                e["seed"]: e for e in entries if e["variant"] == name and e["budget"].get("seconds") == seconds
            }
            reached = [value for e in longest.values() if (value := within(e, seconds)) is not None]
            of_some = f" ({len(reached)} of {len(longest)} seeds)" if len(reached) < len(longest) else ""
            row[f"MRR within {seconds:g} s"] = f"{mean_sd(reached)}{of_some}" if reached else "–"
        row["held-out facts, at least"] = share_of(found, "false", "negatives", 2)
        row["gradient"] = share_of(found, "slope", "questions", None)
        timed = [each for e in found if (each := step_seconds(e)) is not None]
        row["CPU s a step"] = f"{median(timed):.3f}" if timed else ""  # of seeds, for other work may slow one down
        row["peak MB"] = f"{max(e['peak_memory_mb'] for e in found):,}"
        table.append(row)
    available = set(stepped[0]["available"])
    for name, variant in VARIANTS.items():
        if missing := variant.missing(available):
            table.append({"negatives by": name, "validation MRR": f"not applicable: no {', no '.join(missing)}"})
    return table


SHOWN = ("uniform", "self-adversarial", "NSCaching", "MMRNS", "1-vs-all")
"""Rows that the summary shows."""


def summary(entries: list[dict]) -> dict[str, str]:
    """One of :func:`budgets` in a row: validation MRR by :data:`SHOWN`, and what MMRNS gains."""
    table = {row["negatives by"]: row for row in rows(entries)}
    of_mmrns, at = table.get("MMRNS", {"seeds": "0"}), terms(entries[0])
    found = {"dataset": at["dataset"], "scorer": at["scorer"]}
    found |= {"steps": f"{at['warm_up_steps']:,} + {at['steps']:,}", "seeds": of_mmrns["seeds"]}
    found |= {name: table[name]["validation MRR"] if name in table else "" for name in SHOWN}
    for base, p in ((BASE, "p"), (WEIGHED, "p ")):
        found[f"MMRNS − {base}"], found[p] = of_mmrns.get(f"− {base}", ""), of_mmrns.get(p, "")
    return found


def share_of(entries: list[dict], part: str, of: str, percent: int | None, category: str | None = None) -> str:
    """One sum of what was drawn over another, by seed, as a cell; empty where no negatives were drawn or kept.

    Args:
        entries: Results of one row.
        part: Sum above, out of those of :class:`drawn.Drawn`.
        of: Sum below.
        percent: Digits of a percentage; None for a number.
        category: Relation category; all if None.
    """
    shares = []
    for entry in entries:
        by = entry.get("drawn") or {}
        sums = [sums for name, sums in by.items() if category in (None, name)]
        if below := sum(s[of] for s in sums):
            shares.append(sum(s[part] for s in sums) / below)
    if not shares:
        return ""
    return mean_sd(shares, 3) if percent is None else mean_sd([100 * share for share in shares], percent) + " %"


def false_by_category(entries: list[dict]) -> list[dict[str, str]]:
    """One row a variant: share of negatives that are held-out facts by relation category, and of the gradient."""
    stepped = [e for e in entries if "steps" in e["budget"] and e.get("drawn")]
    names = sorted({name for e in stepped for name, sums in e["drawn"].items() if sums["negatives"]})
    table = []
    for variant in VARIANTS:
        found = [e for e in stepped if e["variant"] == variant]
        if not found:
            continue
        row = {"negatives by": variant, "seeds": str(len(found))}
        row |= {name: share_of(found, "false", "negatives", 2, name) for name in names}
        row["of the gradient"] = share_of(found, "slope_on_false", "slope", 1)
        row["questions without gradient"] = share_of(found, "vanished", "questions", 1)
        table.append(row)
    return table


def _gains(of: dict[str, list[dict]], base: str) -> dict[str, tuple[str, str]]:
    """Gain and corrected p of each row over another, as cells."""
    if base not in of:
        return {}
    found = {name: known for name, e in of.items() if name != base and (known := gain(e, of[base])) is not None}
    p = holm({name: value for name, (_, value) in found.items()})
    return {name: (mean_sd(differences), f"{p[name]:.3f}") for name, (differences, _) in found.items()}


def caption() -> str:
    """What the columns of :func:`rows` mean."""
    return (
        "Validation; filtered, both sides, realistic ranks; mean ± standard deviation over seeds. Differences"
        " are paired by seed; p is that of the sign-flip test over validation triples (each triple's mean "
        "over sides and seeds), corrected by Holm for the number of rows: it says whether the difference "
        "would hold on other triples, the standard deviation whether it holds from seed to seed. CPU seconds "
        "are this process's own, of training steps alone, the median of seeds; runs of equal time have the "
        "steps that fit by the clock of their run of equal steps, which on a busy machine may be off by a "
        "third; peak memory is the whole process's, libraries and data included. Held-out facts are the "
        "negatives of the last quarter of steps that stand in validation or test: a lower bound of what is "
        "false. The gradient is that of a question on its negatives, under the row's own weights; 0.5 at "
        "most."
    )
