"""Pictures to patch vectors with transformers' vision models."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmkg.encoders.fingerprints import module_fingerprint, safe_name
from mmkg.encoders.loading import load_local_first, quiet_loading
from mmkg.encoders.protocols import pick_device
from mmkg.errors import DataError

# Tokens that stand before the patches, by the last part of their parameter's name.
_PREFIX_TOKENS = ("cls_token", "class_embedding", "distillation_token", "register_tokens")


class VisionEncoder:
    """A transformers vision model with patch tokens: BEiT, ViT, DeiT, DINOv2, CLIP's or SigLIP's picture side.

    A picture is squeezed to the model's input as a whole, also where the model's own recipe would crop the middle
    (CLIP, DINOv2): regions then cover the whole picture, and their boxes are true for every picture.

    Args:
        model: Hub name, folder of a saved model with its ``preprocessor_config.json``, or a model, which
            is moved to the device and set to evaluation.
        device: Where it runs; the accelerator if there is one, otherwise the CPU, if None.
        processor: Image processor (its size, mean and deviation are read); needed beside a model object.
        name: Name in file names; the last part of ``model`` if None.

    Raises:
        DataError: There is no such model here and the hub cannot be reached, or it has no grid of patches.
    """

    def __init__(
        self,
        model: str | Path | Any = "microsoft/beit-base-patch16-224",
        device: str | torch.device | None = None,
        *,
        processor: Any = None,
        name: str | None = None,
    ) -> None:
        self.device = pick_device(device)
        if isinstance(model, str | Path):
            self.name = safe_name(name or str(model))
            loaded, own = load_local_first(str(model), lambda source, local: _load(source, local, processor is None))
            processor = own if processor is None else processor
        else:
            self.name, loaded = safe_name(name or type(model).__name__), model
        if processor is None:
            raise DataError(
                f"a {type(loaded).__name__} without its image processor",
                cure="VisionEncoder(model, processor=transformers.AutoImageProcessor.from_pretrained(...))",
            )
        base = getattr(loaded, "base_model", loaded)  # a classifier's body
        self._model = getattr(base, "vision_model", base).to(self.device).eval()  # the picture side of CLIP
        config = self._model.config
        self._config = getattr(config, "vision_config", None) or config
        self.dim = int(getattr(self._config, "hidden_size", 0))
        patch = getattr(self._config, "patch_size", None)
        if not self.dim or not isinstance(patch, int | tuple | list):
            raise DataError(
                f"{type(loaded).__name__} ({self.name}) has no hidden_size and patch_size, so no patch tokens",
                cure="take a vision transformer: BEiT, ViT, DeiT, DINOv2, CLIP",
            )
        self._recipe = _read_recipe(processor, self._config)
        height, width = self._recipe["size"]
        rows, cols = (patch, patch) if isinstance(patch, int) else patch
        self.grid = (height // rows, width // cols)
        self._prefix = sum(
            1 if parameter.dim() == 1 else parameter.shape[-2]
            for path, parameter in self._model.named_parameters()
            if path.rsplit(".", 1)[-1] in _PREFIX_TOKENS
        )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, configuration and preprocessing."""
        config = self._config.to_dict()
        for volatile in ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "architectures"):
            config.pop(volatile, None)  # the same model under another path is the same model
        return module_fingerprint(self._model, "vision-1", config, self._recipe)

    def preprocess(self, picture: Image.Image) -> Tensor:
        """A picture as the model wants it.

        Args:
            picture: Picture, mode RGB.

        Returns:
            Pixels, shape ``[3, H, W]``, float32.
        """
        recipe = self._recipe
        height, width = recipe["size"]
        resized = picture.resize((width, height), Image.Resampling(recipe["resample"]))
        pixels = np.asarray(resized, dtype=np.float32) * np.float32(recipe["scale"])  # [H, W, 3]
        pixels = (pixels - np.float32(recipe["mean"])) / np.float32(recipe["std"])
        return torch.from_numpy(pixels).permute(2, 0, 1)  # [H, W, 3] -> [3, H, W]

    def encode(self, pictures: list[Image.Image]) -> Tensor:
        """Patch vectors of some pictures.

        Args:
            pictures: Pictures of any size, mode RGB, ``n`` of them.

        Returns:
            The last layer's patch tokens, shape ``[n, H, W, D]``, float32, on the CPU.

        Raises:
            DataError: The model's tokens are not a grid of patches behind the prefix that its weights declare.
        """
        if not pictures:
            return torch.empty(0, *self.grid, self.dim)
        pixels = torch.stack([self.preprocess(picture) for picture in pictures])  # [n, 3, H_in, W_in]
        weight = next(self._model.parameters())
        with torch.inference_mode():
            states = self._model(pixel_values=pixels.to(self.device, weight.dtype)).last_hidden_state  # [n, P + HW, D]
        expected = self._prefix + self.grid[0] * self.grid[1]
        if states.dim() != 3 or states.shape[1] != expected:
            raise DataError(
                f"{self.name} gives states of shape {tuple(states.shape)}; expected {expected} tokens: "
                f"{self._prefix} before a grid of {self.grid[0]} x {self.grid[1]} patches",
                cure="take a vision transformer with patch tokens: BEiT, ViT, DeiT, DINOv2, CLIP",
            )
        patches = states[:, self._prefix :].unflatten(1, self.grid)  # [n, P + HW, D] -> [n, H, W, D]
        return patches.float().cpu()


def _load(source: str, local_only: bool, with_processor: bool) -> tuple[Any, Any]:
    """Model and image processor (None if not wanted), from the hub's cache or a folder if ``local_only``."""
    with quiet_loading():
        from transformers import AutoImageProcessor, AutoModel

        model = AutoModel.from_pretrained(source, local_files_only=local_only)
        processor = None
        if with_processor:
            processor = AutoImageProcessor.from_pretrained(source, local_files_only=local_only)
        return model, processor


def _read_recipe(processor: Any, config: Any) -> dict[str, Any]:
    """Size, resampling, scale, mean and deviation of an image processor, in plain numbers.

    The arithmetic is done here and not by the processor, so that the same picture gives the same pixels whether or
    not torchvision is installed.
    """
    processor = getattr(processor, "image_processor", processor)  # CLIPProcessor holds text and picture sides
    size = None
    if getattr(processor, "do_center_crop", False):
        size = _height_width(getattr(processor, "crop_size", None))
    if size is None and getattr(processor, "do_resize", True):
        size = _height_width(getattr(processor, "size", None))
    size = size or _height_width(getattr(config, "image_size", None))
    if size is None:
        raise DataError(f"{type(processor).__name__} does not say the input's size", cure="give another processor")
    resample = getattr(processor, "resample", None)
    rescale, normalize = getattr(processor, "do_rescale", True), getattr(processor, "do_normalize", True)
    return {
        "size": size,
        "resample": int(Image.Resampling.BILINEAR if resample is None else resample),  # 0 is NEAREST
        "scale": float(getattr(processor, "rescale_factor", 1 / 255)) if rescale else 1.0,
        "mean": [float(x) for x in processor.image_mean] if normalize else [0.0] * 3,
        "std": [float(x) for x in processor.image_std] if normalize else [1.0] * 3,
    }


def _height_width(size: Any) -> tuple[int, int] | None:
    """A processor's or configuration's size, in any of its spellings, as (height, width)."""
    if size is None:
        return None
    if isinstance(size, int):
        return size, size
    if isinstance(size, list | tuple):
        return int(size[0]), int(size[-1])
    size = dict(size)
    if size.get("height") and size.get("width"):
        return int(size["height"]), int(size["width"])
    edge = size.get("shortest_edge")
    return (int(edge), int(edge)) if edge else None
