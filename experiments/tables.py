"""Render the tables of the pages in PAGES from the JSON results, and from nothing else.

python experiments/tables.py            write them
python experiments/tables.py --check    only say whether they and the results agree
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from common import RESULTS, mean_sd
from comparison import budgets, caption, false_by_category, summary, terms
from comparison import rows as comparison_rows
from patterns import row
from unseen import CONTROLS, VARIANTS
from unseen import rows as unseen_rows

from mmkg.run import DATASETS

README = Path(__file__).parents[1] / "README.md"
RECIPES = Path(__file__).parent / "README.md"
COMPARISON = Path(__file__).parent / "COMPARISON.md"
UNSEEN = Path(__file__).parents[1] / "docs" / "unseen.md"
CARDS = Path(__file__).parents[1] / "datasets" / "README.md"


def load(folder: Path) -> list[dict]:
    """All results of a folder, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def told_once(entries: list[dict], *path: str) -> str:
    """What the entries say at a path, each different thing once."""
    values = []
    for entry in entries:
        for key in path:
            entry = entry[key]
        values.append(str(entry))
    return ", ".join(dict.fromkeys(values))


def worldmoji() -> str:
    """Validation and test of every variant on WorldMoji, and the difference to uniform negatives by seed."""
    entries = load(RESULTS / "worldmoji")
    order = list(dict.fromkeys(sorted((e["variant"] for e in entries), key=lambda v: (v != "uniform", len(v), v))))
    base = {e["seed"]: e for e in entries if e["variant"] == "uniform"}
    columns = ["seeds", "validation MRR", "test MRR", "test Hits@1", "test Hits@10", "test MRR − uniform", "seconds"]
    lines = [f"| negatives by | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    for variant in order:
        found = [e for e in entries if e["variant"] == variant]
        cells = [mean_sd([e["valid"]["realistic"]["mrr"] for e in found])]
        cells += [mean_sd([e["test"]["realistic"][m] for e in found]) for m in ("mrr", "hits@1", "hits@10")]
        gains = [e["test"]["realistic"]["mrr"] - base[e["seed"]]["test"]["realistic"]["mrr"] for e in found]
        cells.append("" if variant == "uniform" else mean_sd(gains))
        seconds = sum(e["wall_seconds"] for e in found) / len(found)
        lines.append(f"| {variant} | {len(found)} | {' | '.join(cells)} | {seconds:.0f} |")
    told = "Mean ± standard deviation over seeds; realistic ranks, filtered, both sides. Last column: training seconds"
    told += f" after the warm-up, on {told_once(entries, 'device')}. {told_once(entries, 'date')}, PyTorch"
    told += f" {told_once(entries, 'versions', 'torch')}, Python {told_once(entries, 'versions', 'python')}."
    return "\n".join([*lines, "", f"*{told}*"])


def db15k() -> str:
    """What the short runs on DB15K say: the probe's loss, memory and time."""
    entries = [e for e in load(RESULTS / "db15k") if "probe_loss" in e]
    lines = [
        "| scorer, negatives by | looks at | steps | probe loss, first 50 → last 50 | peak memory | seconds |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for e in entries:
        p = e["probe_loss"]
        told = f"{p['first_50']:.3f} → {p['last_50']:.3f} (× {p['ratio']:.2f})"
        cells = [e["variant"], ", ".join(e["modalities"]), str(e["steps"]), told]
        lines.append(f"| {' | '.join(cells)} | {e['peak_memory_mb']:,} MB | {e['wall_seconds']:.0f} |")
    where = f"{told_once(entries, 'device')}, {told_once(entries, 'date')}, seed {told_once(entries, 'seed')}"
    return "\n".join([*lines, "", f"*{where}; {told_once(entries, 'split_policy')} validation split.*"])


def patterns() -> str:
    """How many rules of each kind were mined from each dataset, the largest dataset first."""
    entries = sorted(load(RESULTS / "patterns"), key=lambda e: -e["train_triples"])
    rows = [row(entry) for entry in entries]
    lines = [f"| {' | '.join(rows[0])} |", "|---" + "|---:" * (len(rows[0]) - 1) + "|"]
    lines += [f"| {' | '.join(map(str, cells.values()))} |" for cells in rows]
    at = entries[0]["thresholds"]
    told = "Rules of train that are not redundant, of at least"
    told += f" {at['min_support']} pairs and a confidence of {at['min_confidence']:g} (antisymmetric:"
    told += f" {at['min_antisymmetry']:g}). Seconds of the mining alone, on {told_once(entries, 'device')}."
    told += f" {told_once(entries, 'date')}; DB15K's clean split."
    return "\n".join([*lines, "", f"*{told}*"])


def unseen() -> str:
    """What unseen entities get of texts, pictures and triples, beside the controls, by dataset."""
    entries = [e for e in load(RESULTS / "unseen") if "test" in e]
    columns, lines = [], []
    for dataset in sorted({e["dataset"] for e in entries}, key=lambda d: (d != "worldmoji", d)):
        mine = [e for e in entries if e["dataset"] == dataset]
        names = [*CONTROLS, *VARIANTS]
        mine.sort(key=lambda e: (names.index(e["variant"]), e["seed"]))
        for cells in unseen_rows(mine, "test"):
            columns = ["dataset", *cells]
            lines.append(f"| {dataset} | {' | '.join(cells.values())} |")
    head = [f"| {' | '.join(columns)} |", "|---|---|---:|---" + "|---:" * (len(columns) - 4) + "|"]
    sizes = {e["dataset"]: [] for e in entries}
    for e in entries:
        if e["variant"] == CONTROLS[0]:
            sizes[e["dataset"]].append(f"{e['unseen_entities']['test']} ({e['questions']['test']})")
    told = "Unseen entities of test, and questions about them, by seed: "
    told += "; ".join(f"{name} {', '.join(counts)}" for name, counts in sizes.items())
    told += (
        ". Mean ± standard deviation over seeds of split and model; realistic ranks, filtered, both sides, among all"
    )
    told += f" entities. {told_once(entries, 'date')}, {told_once(entries, 'device')}."
    return "\n".join([*head, *lines, "", f"*{told}*"])


def unseen_short() -> str:
    """MRR about unseen entities by what is known of them, a column for each dataset and number of triples shown."""
    entries = [e for e in load(RESULTS / "unseen") if "test" in e]
    datasets = sorted({e["dataset"] for e in entries}, key=lambda d: (d != "worldmoji", d))
    columns = [(dataset, shots) for dataset in datasets for shots in (0, 1, 5)]
    lines = [
        f"| known of them | {' | '.join(f'{d}, {k} shown' for d, k in columns)} |",
        "|---" + "|---:" * len(columns) + "|",
    ]
    found = {}
    for dataset in datasets:
        mine = [e for e in entries if e["dataset"] == dataset]
        for cells in unseen_rows(mine, "test"):
            if cells["structure"] in ("", "mean") or int(cells["shots"]):  # the start that both datasets have
                found[cells["answers by"], dataset, int(cells["shots"])] = cells["MRR"]
    for name in ("text nearest neighbour", *VARIANTS):
        lines.append(f"| {name} | {' | '.join(found.get((name, *at), '') for at in columns)} |")
    return "\n".join(lines)


def linking() -> str:
    """Hits and MRR of every way to link FB15K's entities to DB15K's."""
    lines = ["| linked by | mentions | Hits@1 | Hits@10 | MRR |", "|---" + "|---:" * 4 + "|"]
    entries = load(RESULTS / "linking")
    for entry in entries:
        for name, found in entry["rows"].items():
            cells = [f"{found['realistic'][m]:.3f}" for m in ("hits@1", "hits@10", "mrr")]
            lines.append(f"| {name} | {found['mentions']:,} | {' | '.join(cells)} |")
    e = entries[0]
    told = f"Among {next(iter(e['rows'].values()))['candidates']:,} entities; {e['pairs_with_equal_text']:,} of"
    told += (
        f" {e['pairs']:,} pairs have equal texts. Scorer and KCA: {e['steps']} steps, dim {e['dim']}, seed {e['seed']}."
    )
    told += f" {told_once(entries, 'date')}, {told_once(entries, 'device')}."
    return "\n".join([*lines, "", f"*{told}*"])


def recipes() -> str:
    """Test results of every run on a benchmark that was looked at, and the validation that chose it."""
    columns = ["dataset", "model", "trained on", "epochs", "seeds", "validation MRR", "test MRR", "Hits@1", "Hits@10"]
    lines = [f"| {' | '.join([*columns, 'seconds a run'])} |", "|---|---|---" + "|---:" * 7 + "|"]
    folders = [RESULTS / name for name in sorted(DATASETS) if name != "worldmoji"]
    every = [e for folder in folders for e in load(folder) if "test" in e]
    kinds = [(e["dataset"], told_model(e), json.dumps(e["trained_on"])) for e in every]
    for kind in dict.fromkeys(kinds):
        found = [e for e, own in zip(every, kinds, strict=True) if own == kind]
        first = found[0]
        numbers = [mean_sd([100 * e["test"]["realistic"][m] for e in found], 2) for m in ("mrr", "hits@1", "hits@10")]
        chosen = f"{100 * first['valid']['realistic']['mrr']:.2f}"
        seconds = sum(e["wall_seconds"] for e in found) / len(found)
        epochs = f"{first['best_step'] / first['steps_per_epoch']:.0f}"
        seconds = f"{seconds:.0f}" + ("" if first["device"].startswith("cpu") else " on a GPU")
        cells = [kind[1], " + ".join(first["trained_on"]), epochs, str(len(found)), chosen, *numbers]
        lines.append(f"| {kind[0]} | {' | '.join([*cells, seconds])} |")
    if not every:
        return "No recipe was looked at on test yet."
    told = (
        "×100; realistic ranks, filtered, both sides; mean ± standard deviation over seeds. Validation is that of the"
    )
    told += (
        " run that chose settings and epochs, test that of refits on train + val where these stand there. Seconds on"
    )
    told += f" {told_once(every, 'device')} of a machine shared with other work, {told_once(every, 'date')}."
    return "\n".join([*lines, "", f"*{told}*"])


def told_model(entry: dict) -> str:
    """Scorer, loss and what comes on top, as a cell."""
    config = entry["config"]
    train, sampler = config["train"], entry["sampler"]
    parts = [f"{entry['scorer']} {config['dim']}", entry["objective"]]
    if sampler is not None:
        parts.append(f"{config['sampler']['negatives']} {config['sampler']['name']} negatives")
    if train["regulariser"]:
        parts.append(f"{train['regulariser']} {train['regulariser_weight']:g}")
    if config.get("fusion"):
        parts.append(f"{' + '.join(config['fuse_with'])} by {config['fusion']} fusion")
    return ", ".join(parts)


def compared() -> list[list[dict]]:
    """Results of the comparison by dataset, scorer and budget, WorldMoji first."""
    groups = budgets(load(RESULTS / "compare"))
    return sorted(groups, key=lambda g: (g[0]["dataset"] != "worldmoji", g[0]["dataset"], g[0]["scorer"]))


def compare_short() -> str:
    """What MMRNS gains, a row for each dataset, scorer and budget."""
    return "\n".join(markdown([summary(group) for group in compared()]))


def compare() -> str:
    """Every way to find negatives beside every other, a table for each dataset, scorer and budget that was run."""
    parts = []
    for mine in compared():
        at = terms(mine[0])
        parts.append(f"## {at['dataset']}, {at['scorer']}, {at['steps']:,} steps")
        told = f"Dim {at['dim']}: {at['steps']:,} steps of {at['batch_size']} triples with {at['negatives']} negatives"
        told += f" (MMRNS: out of {at['pool']}), after {at['warm_up_steps']:,} steps with uniform ones."
        told += f" {told_once(mine, 'date')}, {told_once(mine, 'device')} of a shared, busy machine."
        parts.append("\n".join([*markdown(comparison_rows(mine)), "", f"*{told}*"]))
        if false := false_by_category(mine):
            what = "Negatives that are held-out facts by relation category (at least), what they take of the gradient,"
            what += " and questions whose negatives give less than 0.005 of it. The last quarter of steps."
            parts.append("\n".join([*markdown(false), "", f"*{what}*"]))
    return "\n\n".join(parts)


def markdown(rows: list[dict[str, str]]) -> list[str]:
    """Rows as lines of a Markdown table; the first row names the columns."""
    columns = list(rows[0])
    lines = [f"| {' | '.join(columns)} |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    return lines + [f"| {' | '.join(cells.get(c, '') for c in columns)} |" for cells in rows]


def straight_through() -> str:
    """Cosines of the straight-through gradient with the exact one, by scorer."""
    found = json.loads((RESULTS / "straight_through" / "worldmoji.json").read_text(encoding="utf-8"))
    lines = [
        "| scorer | validation MRR | cosine, equal logits | opposed | cosine, logits by score | opposed |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in dict.fromkeys(r["scorer"] for r in found["rows"]):
        rows = [r for r in found["rows"] if r["scorer"] == name]
        cells = [name, mean_sd([r["valid_mrr"] for r in rows], 3)]
        for kind in ("uniform", "by score"):
            cells.append(mean_sd([r[kind]["mean_cosine"] for r in rows], 2))
            cells.append(f"{sum(r[kind]['opposed'] for r in rows) / len(rows):.0%}")
        lines.append(f"| {' | '.join(cells)} |")
    s = found["settings"]
    told = f"WorldMoji, {s['questions']} questions about tails a seed, pools of {s['pool']}, gradients averaged over"
    told += f" {s['draws']} draws; seeds {', '.join(map(str, s['seeds']))}. {found['device']}, {found['date']}."
    return "\n".join([*lines, "", f"*{told}*"])


TABLES = {"worldmoji": worldmoji, "unseen_short": unseen_short}
PAGES = {
    README: TABLES,
    COMPARISON: {"caption": lambda: f"*{caption()}*", "compare": compare},
    RECIPES: {"recipes": recipes, "compare_short": compare_short, "straight_through": straight_through, "db15k": db15k},
    UNSEEN: {"unseen": unseen, "linking": linking},
    CARDS: {"patterns": patterns},
}


def render(text: str, tables: dict[str, Callable[[], str]] = TABLES) -> str:
    """A page with every table between its markers made anew."""
    for name, make in tables.items():
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.S)
        if not pattern.search(text):
            raise SystemExit(
                f"no place for the table {name!r}: put <!-- table: {name} --> and <!-- end --> on its page"
            )
        made = make()
        text = pattern.sub(lambda match, made=made: f"{match[1]}{made}\n{match[2]}", text)
    return text


if __name__ == "__main__":
    for page, tables in PAGES.items():
        before = page.read_text(encoding="utf-8")
        after = render(before, tables)
        if "--check" not in sys.argv:
            page.write_text(after, encoding="utf-8")
        elif before != after:
            raise SystemExit(f"{page.name} and experiments/results differ: run experiments/tables.py")
