"""Settings sought by Optuna on clean validation, in a budget of trials and minutes; test cannot be looked at here.

    python experiments/search.py --trials 30 --minutes 20                            MMRNS on WorldMoji
    python experiments/search.py --sampler uniform --trials 30                     the same chance for uniform negatives
    python experiments/search.py --dataset mkg_y --scorer complex --objective one_vs_all --trials 20 --record

Each trial trains from scratch and reports its validation MRR as it goes; one that is below the median of the others at
the same step is given up. The graph that is trained on and ranked has no test triples in it: they are dropped as soon
as the dataset is open, and from the filter as well. A search goes on where it was: trials are kept in a journal in
--out. What the next trial tries follows from the seed and the finished trials alone, so that a search that was stopped
finds the same as one that was not. --record writes all trials to experiments/results/search as CSV.

Needs the extra "search": pip install "mmkg[search]".
"""

from __future__ import annotations

import argparse
import copy
import datetime
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import optuna
from common import RESULTS
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import Trial, TrialState

from mmkg.cli import main_guard, print_table
from mmkg.files import atomic_write
from mmkg.graph import Facts
from mmkg.run import RunConfig, SamplerConfig, open_dataset
from mmkg.run.build import build_objective, build_scorer, check_names, used_features
from mmkg.run.record import versions
from mmkg.run.sampler import build_sampler
from mmkg.scorers import SCORERS
from mmkg.training import Callback, TrainConfig, Trainer, stream

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
START = RunConfig(
    dataset="worldmoji",
    scorer="rotate",
    dim=100,
    sampler=SamplerConfig(name="mmrns", negatives=20, pool=200),
    train=TrainConfig(steps=600, batch_size=128, schedule="constant", validate_every=100, checkpoint_every=0),
)


def settings(trial: Trial, start: RunConfig) -> RunConfig:
    """What a trial tries; a setting that nothing would read is not asked for.

    Args:
        trial: Suggests values.
        start: All other settings.
    """
    train = {"learning_rate": trial.suggest_float("learning_rate", 5e-4, 2e-1, log=True)}
    config, sampler = {}, {}
    if start.scorer in ("transe", "transh", "transd", "rotate", "protate", "pairre"):
        config["margin"] = trial.suggest_float("margin", 2.0, 12.0)
    else:
        train["regulariser"] = "n3"
        train["regulariser_weight"] = trial.suggest_float("regulariser_weight", 1e-4, 1e-1, log=True)
    if start.draws_negatives:
        config["alpha"] = trial.suggest_float("alpha", 0.0, 2.0)
        if start.sampler.name == "mmrns":
            sampler["epsilon"] = trial.suggest_float("epsilon", 0.05, 10.0, log=True)
            sampler["beta"] = trial.suggest_float("beta", 1e-3, 1.0, log=True)
            train["sampler_learning_rate"] = trial.suggest_float("sampler_learning_rate", 1e-5, 1e-2, log=True)
    return replace(start, **config, sampler=replace(start.sampler, **sampler), train=replace(start.train, **train))


def without_test(data):
    """The same graph with its test triples taken out, from the triples set aside for filters as well.

    Args:
        data: Graph with ``edge_index``, ``edge_type`` and the three masks; it stays as it is.
    """
    keep = ~data.test_mask  # [E]
    blind = copy.copy(data)
    blind.edge_index, blind.edge_type = data.edge_index[:, keep], data.edge_type[keep]
    for name in ("train_mask", "val_mask", "test_mask"):
        blind[name] = data[name][keep]
    extra = getattr(data, "extra_filter", None)
    if extra is not None:
        h, t = data.edge_index[:, data.test_mask]
        test = Facts(h, data.edge_type[data.test_mask], t, int(data.num_nodes), int(data.num_relations))
        blind.extra_filter = extra[:, ~test.contains(*extra)]
    return blind


class Report(Callback):
    """Tells a trial its validation MRR and gives it up when Optuna says so."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def on_validation(self, trainer, step, metrics):
        """Report, and stop what is not worth going on."""
        self.trial.report(metrics["mrr"], step)
        self.trial.set_user_attr("steps", step)
        if self.trial.should_prune():
            raise optuna.TrialPruned


class Search:
    """A study of settings on one graph.

    Args:
        data: Graph; its test triples are dropped at once.
        features: What MMRNS looks at, by modality.
        start: Settings that are not sought.
        journal: File that remembers trials.
        suggest: What to seek, see :func:`settings`.
        pruner: When to give a trial up; the median rule if None.
    """

    def __init__(
        self,
        data,
        features: dict,
        start: RunConfig,
        journal: Path,
        *,
        suggest: Callable[[Trial, RunConfig], RunConfig] = settings,
        pruner: optuna.pruners.BasePruner | None = None,
    ) -> None:
        self.data, self.features, self.start, self.suggest = without_test(data), features, start, suggest
        journal.parent.mkdir(parents=True, exist_ok=True)
        self.study = optuna.create_study(
            storage=JournalStorage(JournalFileBackend(str(journal))),
            study_name="mmkg",
            direction="maximize",
            pruner=pruner or optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=0),
            load_if_exists=True,
        )
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):  # was killed
            self.study.tell(trial.number, state=TrialState.FAIL)

    @property
    def finished(self) -> list[optuna.trial.FrozenTrial]:
        """Trials that came to an end, be it by pruning."""
        return self.study.get_trials(deepcopy=False, states=FINISHED)

    def run(self, trials: int, minutes: float | None = None) -> None:
        """Go on until there are so many finished trials, or no trial may begin any more.

        Args:
            trials: Finished trials in all, those of earlier calls included.
            minutes: Wall-clock of this call after which no trial begins; None for no limit.
        """
        end = None if minutes is None else time.monotonic() + 60 * minutes
        while (done := len(self.finished)) < trials and (end is None or time.monotonic() < end):
            # a seed for each place, so that going on asks the same as not having stopped
            seed = stream(self.start.train.seed, f"trial {done}")
            self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=8)
            self.study.optimize(self._objective, n_trials=1)

    def _objective(self, trial: Trial) -> float:
        config = self.suggest(trial, self.start)
        data = self.data
        model = build_scorer(config, int(data.num_nodes), int(data.num_relations))
        sampler = build_sampler(config, model, self.features, data)
        began = time.process_time()
        trainer = Trainer(
            model, sampler, build_objective(config), data, config.train, callbacks=[Report(trial)], progress=False
        )
        try:
            found = trainer.fit()
        finally:
            trial.set_user_attr("cpu_seconds", round(time.process_time() - began, 1))
        trial.set_user_attr("best_step", found.best_step)
        return found.best["mrr"]

    def table(self) -> list[dict]:
        """One row a finished trial: what it tried and what it came to; of a pruned one, the best it had reached."""
        names = sorted({name for trial in self.finished for name in trial.params})
        rows = []
        for number, trial in enumerate(self.finished):
            best = max(trial.intermediate_values.values(), default=None)
            row = {"trial": number, "state": trial.state.name.lower(), "valid_mrr": best}
            row |= {name: trial.user_attrs.get(name) for name in ("steps", "best_step", "cpu_seconds")}
            rows.append(row | {name: trial.params.get(name) for name in names})
        return rows


def write_csv(path: Path, rows: list[dict]) -> None:
    """Write rows, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        lines = [list(rows[0]), *(list(row.values()) for row in rows)]
        text = [",".join("" if value is None else str(value) for value in line) for line in lines]
        file.write("".join(f"{line}\n" for line in text).encode())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--dataset", default=START.dataset, help="default %(default)s")
    add("--split-policy", choices=["clean"], default="clean", help="of DB15K; the published one is not for selection")
    add("--scorer", default=START.scorer, choices=sorted(SCORERS), help="default %(default)s")
    add("--sampler", default=START.sampler.name, help="default %(default)s")
    add("--objective", default=START.objective, help="default %(default)s")
    add("--modalities", default="image,text,structure", help="what MMRNS looks at; default %(default)s")
    add("--steps", type=int, default=START.train.steps, help="of a trial; default %(default)s")
    add("--validate-every", type=int, default=START.train.validate_every, help="default %(default)s")
    add("--dim", type=int, default=START.dim, help="default %(default)s")
    add("--seed", type=int, default=0, help="of the search and of each trial; default %(default)s")
    add("--trials", type=int, default=30, help="finished trials in all; default %(default)s")
    add("--minutes", type=float, help="after which no trial begins; default: no limit")
    add("--record", action="store_true", help="write all trials to experiments/results/search")
    add("--results", type=Path, default=RESULTS, help="folder of results; default experiments/results")
    add("--root", default="datasets", help="folder of datasets; default %(default)s")
    add("--out", type=Path, default=Path("runs/search"), help="folder of journals; default %(default)s")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    sampler = replace(START.sampler, name=args.sampler, modalities=tuple(args.modalities.split(",")))
    train = replace(START.train, steps=args.steps, validate_every=args.validate_every, seed=args.seed)
    config = replace(
        START,
        dataset=args.dataset,
        root=args.root,
        options={"split_policy": args.split_policy} if args.dataset == "db15k" else {},
        scorer=args.scorer,
        dim=args.dim,
        objective=args.objective,
        sampler=sampler,
        train=train,
    )
    check_names(config)
    dataset = open_dataset(config, features=config.looks_at_features)
    features = used_features(config, dataset) if config.looks_at_features else {}
    by = config.sampler.name if config.draws_negatives else config.objective
    name = f"{Path(config.dataset).name}-{config.scorer}-{by}-dim{config.dim}-steps{args.steps}-seed{args.seed}"
    search = Search(dataset.topology, features, config, args.out / f"{name}.journal")
    search.run(args.trials, args.minutes)
    rows = search.table()
    if not rows:
        print("no trial was finished: give more --minutes")
        return
    if args.record:
        told = {"date": datetime.date.today().isoformat(), "commit": versions().get("commit", "")}
        write_csv(args.results / "search" / f"{name}.csv", [row | told for row in rows])
    best = sorted(rows, key=lambda row: -(row["valid_mrr"] or 0.0))[:10]
    print_table([{k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in best], name)


if __name__ == "__main__":
    main_guard(main)
