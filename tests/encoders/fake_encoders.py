"""Small encoders that need no model, count what they are asked and stop when told to."""

import hashlib

import numpy as np
import torch
from PIL import Image


class FakeTextEncoder:
    """Vectors made from a hash of the sentence; counts what it is asked."""

    name, dim, fingerprint = "fake-text", 5, "fake-text-1"

    def __init__(self, stop_at: int | None = None):
        self.seen: list[str] = []
        self.calls, self.stop_at = 0, stop_at

    def encode(self, sentences):
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.seen += sentences
        raw = [np.frombuffer(hashlib.sha256(s.encode()).digest()[:5], np.uint8) for s in sentences]
        return torch.from_numpy(np.stack(raw).astype(np.float32) / 255)  # [n, 5]


class FakePictureEncoder:
    """Patches are 14 x 14 block means of the red, green and blue channels; counts what it is asked."""

    name, dim, fingerprint = "fake-picture", 3, "fake-picture-1"

    def __init__(self, stop_at: int | None = None):
        self.seen = 0
        self.calls, self.stop_at = 0, stop_at

    def encode(self, pictures):
        self.calls += 1
        if self.calls == self.stop_at:
            raise KeyboardInterrupt
        self.seen += len(pictures)
        arrays = [np.asarray(p.resize((14, 14), Image.Resampling.BOX), np.float32) / 255 for p in pictures]
        return torch.from_numpy(np.stack(arrays))  # [n, 14, 14, 3]
