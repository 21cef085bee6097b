"""What goes wrong with a user's input, said in one line: file, line, value and cure."""

from collections.abc import Sequence
from os import PathLike


class MMKGError(Exception):
    """Base of every error that mmkg raises on purpose; the command line shows it without a traceback."""


class DataError(MMKGError, ValueError):
    """Bad input from a file or an argument.

    Args:
        problem: What is wrong, naming the offending value.
        file: File at fault, if there is one.
        line: 1-based line in that file.
        cure: What the user can do about it.

    Example:
        >>> str(DataError("2 fields, expected 3: 'a b'", file="train.tsv", line=7, cure="separate with tabs"))
        "train.tsv, line 7: 2 fields, expected 3: 'a b'. Cure: separate with tabs"
    """

    def __init__(
        self, problem: str, *, file: str | PathLike | None = None, line: int | None = None, cure: str | None = None
    ) -> None:
        self.problem, self.file, self.line, self.cure = problem, file, line, cure
        where = "" if file is None else f"{file}" + (f", line {line}" if line is not None else "") + ": "
        super().__init__(where + problem.rstrip(".") + (f". Cure: {cure}" if cure else ""))


class UnknownNameError(MMKGError, KeyError):
    """A name that the graph does not hold, with the nearest names that it does."""

    def __init__(self, kind: str, name: str, nearest: list[str]) -> None:
        self.kind, self.name, self.nearest = kind, name, nearest
        hint = f" Nearest: {', '.join(nearest)}" if nearest else ""
        self.message = f"unknown {kind} {name!r}.{hint}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would show the repr
        return self.message


class NumericsError(MMKGError, ArithmeticError):
    """A NaN or an infinity where a number was due; training and evaluation stop rather than go on with it.

    Args:
        message: What is wrong and what to do about it.
        step: Step of training at which it was seen, from 1.
        triples: Ids (h, r, t) of the batch.
        checkpoint: The latest checkpoint, from before.
    """

    def __init__(
        self,
        message: str,
        *,
        step: int | None = None,
        triples: Sequence[tuple[int, int, int]] = (),
        checkpoint: PathLike | None = None,
    ) -> None:
        self.step, self.triples, self.checkpoint = step, triples, checkpoint
        super().__init__(message)


class OutOfMemory(MMKGError, MemoryError):
    """Memory ran out even for the smallest portion of some work."""


class ProcessLost(MMKGError, ConnectionError):
    """Another process of the same training ended or fell silent."""
