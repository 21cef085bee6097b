"""Two processes train and rank as one does; one that is killed ends the other, which says so."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch.distributed as dist

ROOT = Path(__file__).parents[2]
ENV = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="PyTorch was built without gloo")
def test_two_processes_are_as_one_and_one_alone_says_so():
    command = [
        sys.executable,
        "-m",
        "benchmarks.processes",
        "--steps",
        "16",
        "--ways",
        "mmrns_by_ranges_short_of_memory",
        "bernoulli_by_rows",
    ]
    done = subprocess.run(command, cwd=ROOT, env=ENV, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        part, end = decoder.raw_decode(text)
        found.append(part)
        text = text[end:].strip()
    ways, killed, spread = found
    # in the second process memory runs out twice, before the exchange of similarities and before that of their slopes:
    # nobody waits in either for it, and both take smaller portions
    assert [way["parts"] for way in ways] == [[4, 4], [1, 1]]
    for together in ways:
        assert together["processes"] == 2
        assert together["metrics_differ_by"] <= 1e-5
        assert together["losses_differ_by"] < 1e-5
        assert together["weights_differ_by"] < 1e-4
        assert together["ranking_together_equals_alone"]
        assert together["both_hold_the_same_weights"]
    assert killed["first_ended_after_s"] < 30
    assert "process 0 of 2 lost contact with another one" in killed["it_said"]
    assert f"step-{killed['last_checkpoint']:08d}" in killed["it_said"]
    assert killed["resumed_to"] == 60
    assert killed["metrics_differ_by"] <= 1e-5
    assert spread["rows_held"] == spread["rows_of_adams_state_held"] == [30, 30]
    assert spread["weights_differ_by"] < 1e-4
    assert spread["metrics_differ_by"] <= 1e-5
