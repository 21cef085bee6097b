"""Text files as lines: any line end, with or without a byte order mark, blank lines left out, and exact about a fault.

Line numbers in errors are those an editor shows.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmkg.errors import DataError


@dataclass
class Lines:
    """Lines of a file that are not blank.

    Args:
        path: The file.
        text: The lines without their ends, length ``L``.
        number: 1-based line numbers in the file, shape ``[L]``.
        carriage: True where the line's end has a carriage return, shape ``[L]``.
        blank: How many blank lines were left out.
        mark: Whether the file begins with a byte order mark.
    """

    path: Path
    text: pa.Array
    number: np.ndarray
    carriage: np.ndarray
    blank: int = 0
    mark: bool = False

    def __len__(self) -> int:
        return len(self.text)

    def fail_where(self, bad: pa.Array | np.ndarray, problem: str, cure: str) -> None:
        """Raise for the first line where ``bad [L]`` holds; ``{line}`` in ``problem`` becomes its text."""
        rows = np.flatnonzero(np.asarray(bad))
        if rows.size:
            at, line = rows[0], self.text[int(rows[0])].as_py()
            shown = repr(line if len(line) <= 80 else line[:77] + "...")
            more = f" ({rows.size} such lines)" if rows.size > 1 else ""
            problem = problem.replace("{line}", shown) + more
            raise DataError(problem, file=self.path, line=int(self.number[at]), cure=cure)

    def part(self, start: int, stop: int | None = None) -> Lines:
        """The lines from one place to another."""
        at = slice(start, stop)
        return replace(self, text=self.text[at], number=self.number[at], carriage=self.carriage[at])


def read_lines(path: str | Path) -> Lines:
    """Read a UTF-8 text file: byte order mark, line ends of any kind and blank lines taken away.

    Raises:
        DataError: If it cannot be read, or is not UTF-8.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read ({error.strerror})", file=path, cure="check the path") from error
    return lines_of(content, path)


def lines_of(content: bytes, path: Path) -> Lines:
    """Lines of a text file's content; ``path`` is what errors call it.

    Raises:
        DataError: If it is not UTF-8; the error names the line and the bytes.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        read, at = error.object, error.start  # without the mark, if there is one
        line = len(re.findall(rb"\r\n|\r|\n", read[:at])) + 1
        value = read[at : at + 4]
        raise DataError(f"not UTF-8: {value!r}", file=path, line=line, cure="save the file as UTF-8") from error
    # str.splitlines would also split at U+2028 and U+0085, which occur inside names
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    carriage = np.zeros(len(lines), dtype=bool)
    if "\r" in text:
        carriage[:-1] = [end != "\n" for end in re.findall(r"\r\n|\r|\n", text)]
    column = pa.array(lines, type=pa.large_string())
    kept = np.flatnonzero(np.asarray(pc.not_equal(pc.ascii_trim_whitespace(column), "")))
    blank = len(lines) - len(kept) - (lines[-1] == "")  # what follows the last line's end is no line
    mark = content.startswith(codecs.BOM_UTF8)
    return Lines(path, column.take(pa.array(kept)), kept + 1, carriage[kept], blank, mark)


def fail_on_fields(lines: Lines, length: np.ndarray, cure: str) -> None:
    """Raise for the first line whose number of fields ``[L]`` is not 3."""
    wrong = length != 3
    if wrong.any():
        found = int(length[wrong][0])
        lines.fail_where(wrong, f"{found} field{'s' * (found != 1)}, expected 3: {{line}}", cure)


def columns(fields: pa.Array, width: int) -> list[pa.Array]:
    """Columns, each of length ``L``, of lists that all hold ``width`` fields."""
    flat = fields.flatten()
    start = np.arange(0, len(flat), width)
    return [flat.take(pa.array(start + column)) for column in range(width)]


def repeated(values: np.ndarray) -> np.ndarray:
    """True at each value that occurred before, shape as ``values [L]``."""
    again = np.ones(len(values), dtype=bool)
    again[np.unique(values, return_index=True)[1]] = False
    return again
