"""The command line read as a whole: names, defaults, examples, JSON, completion, start-up."""

import inspect
import json
import os
import shlex
import subprocess
import sys

import pytest
import typer

import mmkg
from mmkg import cli
from mmkg.cli import options
from mmkg.run import DATASETS
from mmkg.samplers import SAMPLERS
from mmkg.scorers import SCORERS
from mmkg.training import OBJECTIVES, TRACKERS

HEAVY = ("torch", "torch_geometric", "transformers", "sentence_transformers", "pandas", "numpy", "matplotlib")
NAMES = [command.__name__ for command in cli.COMMANDS]


GROUP = typer.main.get_command(cli.app)


def test_help_and_version_import_nothing_that_takes_long():
    code = (
        "import sys; from mmkg.cli import main\ntry:\n    main()\nexcept SystemExit as stop:\n    status = stop.code\n"
    )
    code += f"print([m for m in {HEAVY} if m in sys.modules], status)"
    for word in ("--help", "--version"):
        done = subprocess.run([sys.executable, "-c", code, word], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
    assert f"mmkg {mmkg.__version__}" in done.stdout


@pytest.mark.parametrize(
    ("told", "known"),
    [
        (options.DATASET_NAMES, DATASETS),
        (options.SCORER_NAMES, SCORERS),
        (options.SAMPLER_NAMES, SAMPLERS),
        (options.OBJECTIVE_NAMES, OBJECTIVES),
        (options.TRACKER_NAMES, TRACKERS),
    ],
)
def test_names_told_are_the_names_known(told, known):
    assert list(told) == list(known)


@pytest.mark.parametrize("command", cli.COMMANDS, ids=NAMES)
def test_each_command_has_an_example_that_parses(command):
    examples = " ".join(inspect.getdoc(command).split()).split("Example: ")[1:]
    assert examples
    for example in examples:
        program, name, *words = shlex.split(example)
        assert (program, name) == ("mmkg", command.__name__)
        GROUP.commands[name].make_context(name, words)  # stops where an option is unknown or a value of the wrong kind


@pytest.mark.parametrize("name", NAMES)
def test_each_command_gives_json_and_says_its_defaults(name):
    command = GROUP.commands[name]
    assert "--json" in [word for option in command.params for word in option.opts]
    for option in command.params:
        assert option.help, option.name
        if option.param_type_name == "option" and option.default not in (None, False, True, []):
            assert option.show_default, option.name


def test_one_name_for_one_thing():
    flags = {}
    for name in NAMES:
        for option in GROUP.commands[name].params:
            flags.setdefault(option.name, {})[name] = (tuple(option.opts), option.param_type_name)
    for name, by_command in flags.items():
        assert len(set(by_command.values())) == 1, (name, by_command)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("mmkg tr", ["train"]),
        ("mmkg train wor", ["worldmoji"]),
        ("mmkg train worldmoji --scorer tr", ["transe", "transh", "transd"]),
        ("mmkg train worldmoji --sampler mm", ["mmrns"]),
        ("mmkg train worldmoji --track ten", ["tensorboard"]),
        ("mmkg evaluate run --split t", ["test"]),
    ],
)
def test_a_shell_completes_names(typed, offered):
    words = {"_MMKG_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    code = "import sys; sys.argv = ['mmkg']; from mmkg.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | words, capture_output=True, text=True)
    assert done.stdout.split() == offered, done.stderr


def test_doctor(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MMKG_RAW", raising=False)
    status, out, _ = call("doctor")
    assert status == 0, out
    for word in ("version", "device", "cache", "data", "worldmoji", "no problems"):
        assert word in out
    rows = json.loads(call("doctor", "--json")[1])
    assert {row["part"] for row in rows} == {"version", "device", "cache", "data"}
    monkeypatch.setenv("MMKG_RAW", str(tmp_path / "nowhere"))
    status, out, _ = call("doctor")
    assert status == 1
    assert "no such folder" in out
    assert out.splitlines()[-1] == "1 problem"


def test_a_command_spills_no_warnings_of_libraries(tmp_path):
    # as a user calls it, in a process of its own: standard error holds nothing but what mmkg says
    words = ["-m", "mmkg.cli", "train", "worldmoji", "--sampler", "uniform", "--dim", "4", "--steps", "2", "--json"]
    words += ["--validate-every", "2"]
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]
    assert done.stderr == ""


def test_a_table_folds_long_words_and_cuts_none(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    cli.print_table([{"name": "db15k", "cure": "https://" + "x" * 100}])
    assert capsys.readouterr().out.count("x") == 100
