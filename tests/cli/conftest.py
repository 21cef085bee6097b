"""How a test types a command line."""

import pytest

from mmkg import cli


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a command line; gives exit status, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["mmkg", *map(str, words)])
        monkeypatch.setenv("COLUMNS", "200")
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
