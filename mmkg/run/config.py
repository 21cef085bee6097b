"""Everything that makes a run, in one place that reads from top to bottom."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from os import PathLike
from pathlib import Path

from mmkg.errors import DataError
from mmkg.training import OBJECTIVES, TrainConfig

MODALITIES = ("image", "text", "structure")
CONTROLS = ("real", "shuffled", "random", "zero", "presence")
POOL_KINDS = ("random", "typed")


@dataclass(frozen=True)
class SamplerConfig:
    """How negatives are drawn; all but ``name``, ``negatives`` and ``options`` speak to MMRNS alone.

    Args:
        name: Name out of :data:`mmkg.samplers.SAMPLERS`.
        negatives: Negatives for each positive.
        options: Options of the sampler that have no name here, such as ``{"cache_size": 30}`` of NSCaching or
            ``{"use_guide": False}`` of MMRNS.
        pool: Entities among which MMRNS draws at each step; 0 for all.
        pool_kind: "random", one pool for the batch, or "typed", for each relation what the graph shows at that side.
        memory_mb: Memory for what a step of MMRNS keeps of its pool, in MiB; "auto" for half of what is free, None for
            as much as it takes.
        epsilon: Temperature at the first step.
        tau: Temperature of the Gumbel relaxation.
        beta: Weight of the contrastive loss.
        relaxation: "fresh" or "shared".
        gumbel_gradient: "descend", "reverse" or "none".
        contrast: "row" or "batch".
        attention: Width of the cross-modal attention.
        gate: Width of the structure gate.
        gate_layers: 1 (the equation) or 2 (the published code).
        modalities: Which similarities count, out of image, text and structure.
        images: "real", or a control: "shuffled" among the entities that have one, "random" noise of the same means and
            spreads, "zero" for everyone, or "presence": the same for all who have one.
        texts: Likewise for texts.
    """

    name: str = "mmrns"
    negatives: int = 20
    options: dict = field(default_factory=dict)
    pool: int = 500
    pool_kind: str = "random"
    memory_mb: float | str | None = None
    epsilon: float = 10.0
    tau: float = 1.0
    beta: float = 0.01
    relaxation: str = "fresh"
    gumbel_gradient: str = "descend"
    contrast: str = "row"
    attention: int = 50
    gate: int = 100
    gate_layers: int = 1
    modalities: tuple[str, ...] = MODALITIES
    images: str = "real"
    texts: str = "real"

    def __post_init__(self) -> None:
        unknown = [m for m in self.modalities if m not in MODALITIES]
        if unknown or not self.modalities:
            raise DataError(f"modalities {list(self.modalities)}", cure=f"choose out of {', '.join(MODALITIES)}")
        if self.pool_kind not in POOL_KINDS:
            raise DataError(f"pool_kind {self.pool_kind!r}", cure=f"choose one of {', '.join(POOL_KINDS)}")
        words = isinstance(self.memory_mb, str) and self.memory_mb != "auto"
        if words or (isinstance(self.memory_mb, (int, float)) and not self.memory_mb > 0):
            raise DataError(f"memory_mb {self.memory_mb!r}", cure="give MiB above 0, auto, or nothing")
        for name in ("images", "texts"):
            if getattr(self, name) not in CONTROLS:
                raise DataError(f"{name} {getattr(self, name)!r}", cure=f"choose one of {', '.join(CONTROLS)}")


@dataclass(frozen=True)
class RunConfig:
    """Settings of a run.

    Args:
        dataset: Name out of :data:`mmkg.run.DATASETS`, or the path of your own folder, see
            :class:`mmkg.datasets.MultimodalFolder`.
        root: Folder that holds datasets.
        options: Options of the dataset, such as ``{"split_policy": "clean"}``.
        scorer: Name out of :data:`mmkg.scorers.SCORERS`.
        dim: ``hidden_channels`` of the scorer.
        margin: Margin of a distance scorer; unused by bilinear ones.
        reciprocal: Whether heads are asked for by relations of their own, see :class:`mmkg.scorers.Scorer`.
        initial_std: Standard deviation of a bilinear scorer's normal initialisation; its own rule if None.
        objective: Name out of :data:`mmkg.training.OBJECTIVES`.
        alpha: Temperature of the self-adversarial weights, in the objective and in MMRNS's contrastive loss.
        objective_margin: Of the objective "margin".
        label_smoothing: Of the objectives over all entities, in [0, 1).
        sampler: How negatives are drawn.
        train: How long and how is trained.
        refit: Whether to train on train and validation together, for a number of epochs that an earlier run chose on
            validation; see :func:`mmkg.run.refit_config`.
        warm_start: Folder of an earlier run whose embeddings to start from.
        fusion: How pictures and texts become part of an entity's embedding, out of :data:`mmkg.scorers.FUSIONS`; None
            for embeddings of structure alone.
        fuse_with: Which of "image" and "text" they are.
        fuse_scale: Their scale, "channels" (suits Adam) or "length" (suits Adagrad at rates such as 0.1, whose first
            step moves every weight by the rate); see :class:`mmkg.scorers.pooling.MeanPooling`.
    """

    dataset: str = "worldmoji"
    root: str = "datasets"
    options: dict = field(default_factory=dict)
    scorer: str = "rotate"
    dim: int = 100
    margin: float = 6.0
    reciprocal: bool = False
    initial_std: float | None = None
    objective: str = "self_adversarial"
    alpha: float = 0.5
    objective_margin: float = 1.0
    label_smoothing: float = 0.0
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    warm_start: str | None = None
    refit: bool = False
    fusion: str | None = None
    fuse_with: tuple[str, ...] = ("image", "text")
    fuse_scale: str = "channels"

    def __post_init__(self) -> None:
        for name in ("dataset", "root", "warm_start"):
            given = getattr(self, name)
            if isinstance(given, PathLike):  # the settings are kept as JSON
                object.__setattr__(self, name, str(Path(given)))
            elif not isinstance(given, str) and (given is not None or name != "warm_start"):
                raise DataError(f"{name} is a {type(given).__name__}", cure="give a name or the path of a folder")
        if self.refit and self.train.validate_every:
            problem = f"refit with validate_every {self.train.validate_every}: validation is trained on"
            raise DataError(problem, cure="set validate_every to 0")

    @property
    def draws_negatives(self) -> bool:
        """Whether the objective is trained on drawn negatives at all."""
        return OBJECTIVES[self.objective].needs_negatives

    @property
    def looks_at_features(self) -> bool:
        """Whether negatives are drawn by what pictures and texts show."""
        return self.draws_negatives and self.sampler.name == "mmrns"

    @classmethod
    def load(cls, path: Path) -> RunConfig:
        """Read the settings that a run keeps.

        Raises:
            DataError: If the file is missing, is no JSON, or holds settings that this version does not know.
        """
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise TypeError(f"a {type(values).__name__} where a table of settings is due")
            return cls.from_dict(values)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError("no such run", file=path.parent, cure="give the folder that mmkg train wrote") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"not the settings of a run ({error})", file=path, cure="train anew") from None

    @classmethod
    def from_dict(cls, values: dict) -> RunConfig:
        """From the nested dict that ``dataclasses.asdict`` gives.

        Raises:
            TypeError: If a setting is unknown.
        """
        values = dict(values)
        sampler, train = dict(values.pop("sampler", {})), dict(values.pop("train", {}))
        if "modalities" in sampler:
            sampler["modalities"] = tuple(sampler["modalities"])
        if "fuse_with" in values:
            values["fuse_with"] = tuple(values["fuse_with"])
        return cls(**values, sampler=SamplerConfig(**sampler), train=TrainConfig(**train))

    def flat(self) -> dict[str, object]:
        """All settings by name, those of a part as ``train.steps``."""
        return _flat(asdict(self))

    def differences(self, other: RunConfig) -> dict[str, tuple]:
        """Settings in which two runs differ: name -> (here, there)."""
        here, there = self.flat(), other.flat()
        return {k: (here.get(k), there.get(k)) for k in sorted({*here, *there}) if here.get(k) != there.get(k)}


def _flat(values: dict, prefix: str = "") -> dict:
    result: dict[str, object] = {}
    for key, value in values.items():
        result |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return result
