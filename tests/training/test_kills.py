"""Training that is killed at any moment goes on as if nothing had been; ``benchmarks.kills`` does so fifty times."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_killed_runs_end_as_if_nobody_had_killed_them():
    command = [sys.executable, "-m", "benchmarks.kills", "--kills", "3", "--ways", "nscaching"]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == 3
    assert found["runs_ended"] >= 1
