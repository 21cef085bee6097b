"""Importing the room is cheap."""

import subprocess
import sys


def test_heavy_packages_wait_until_they_are_needed():
    heavy = ["transformers", "sentence_transformers", "h5py", "sklearn", "efficientnet_lite_pytorch"]
    code = f"import sys, mmkg.encoders; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
