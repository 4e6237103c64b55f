import itertools
import os
import re
import shlex
import signal
import subprocess
import sys

import click
import pytest

import sampan as package
from sampan.cli import argv, main, verb

COMMAND = [sys.executable, "-m", "sampan"]


def _commands():
    """Every command below the root with the words that lead to it."""
    waiting: list[tuple[tuple[str, ...], click.Command]] = [
        ((each.name,), main.load(each)) for each in verb.VERBS
    ]
    while waiting:
        words, command = waiting.pop(0)
        yield words, command
        if isinstance(command, click.Group):
            waiting += [((*words, name), sub) for name, sub in command.commands.items()]


COMMANDS = dict(_commands())


def test_help_lists_every_verb(sampan):
    said = sampan("--help")
    assert said.status == 0
    assert [each.name for each in verb.VERBS if f"  {each.name} " not in said.out] == []
    assert "Examples:" in said.out


@pytest.mark.parametrize("each", verb.VERBS, ids=lambda each: each.name)
def test_table_and_command_agree(each):
    command = main.load(each)
    assert command.name == each.name
    assert command.help


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_examples_that_parse(sampan, words):
    said = sampan(*words, "-help")
    assert said.status == 0
    examples = re.findall(r"^ +sampan (.+)$", said.out.partition("Examples:")[2], re.MULTILINE)
    assert examples, "no examples"
    for example in examples:
        _parse(shlex.split(example, comments=True))


def _parse(words):
    """Let click read `words`, up to but without running the command."""
    words = list(itertools.takewhile(lambda word: word not in ("<", ">", "|"), words))
    context = main.sampan.make_context("sampan", argv.rewrite(main.sampan, words))
    command: click.Command | None = main.sampan
    rest = [*context._protected_args, *context.args]
    while isinstance(command, click.Group) and rest:
        name, command, rest = command.resolve_command(context, rest)
        assert command is not None
        context = command.make_context(name, rest, parent=context)
        rest = [*context._protected_args, *context.args]


def test_unknown_verb_is_wrong_usage(sampan):
    said = sampan("biuld", "x.yml")
    assert said.status == 2
    guess = "Did you mean 'build'?"
    assert said.err == f"sampan: No such command 'biuld'. {guess}\n  hint: see sampan --help\n"
    assert sampan("qqq").err == "sampan: No such command 'qqq'.\n  hint: see sampan --help\n"


def test_unknown_flag_is_wrong_usage_with_a_guess(sampan):
    said = sampan("version", "-shrt")
    assert said.status == 2
    assert "--short" in said.err
    assert "see sampan version --help" in said.err


@pytest.mark.parametrize(
    ("words", "guess"), [("run -detatched web", "--detached"), ("ps -al", "--all")]
)
def test_unknown_flag_that_begins_like_a_short_one(sampan, words, guess):
    """It is not read as a row of short flags, one of which is unknown."""
    said = sampan(*words.split())
    assert said.status == 2
    assert guess in said.err


@pytest.mark.parametrize(
    ("words", "command"),
    [("run -publish", "run"), ("cache export --outfile", "cache")],
)
def test_flag_without_its_value(sampan, words, command):
    said = sampan(*words.split())
    assert said.status == 2
    assert "requires an argument" in said.err
    assert said.err.endswith(f"hint: see sampan {command} --help\n")


@pytest.mark.parametrize("words", ["ps --cache", "ps -all -cache", "-q ps --mirror"])
def test_global_flag_without_its_value(sampan, words):
    said = sampan(*words.split())
    assert said.status == 2
    assert said.err == (
        f"sampan: Option '--{words.split()[-1].strip('-')}' requires an argument.\n"
        "  hint: see sampan --help\n"
    )


def test_errors_as_objects(sampan):
    said = sampan("version", "-shrt", "-json")
    assert said.error["code"] == 2
    assert "--short" in said.error["message"]
    assert said.out == ""


def test_nothing_to_do_shows_help(sampan):
    said = sampan()
    assert said.status == 2
    assert said.err.startswith("Usage: sampan")
    assert sampan("net").err.startswith("Usage: sampan net")
    assert sampan("net", "--json").error["message"] == "a command is missing"


@pytest.fixture
def settings_of(sampan, monkeypatch):
    """The settings a verb gets for the words before it."""
    seen = []

    @click.command("version")
    @click.pass_obj
    def probe(settings):
        seen.append(settings)

    monkeypatch.setattr(main, "load", lambda verb: probe)

    def run(*words):
        assert sampan(*words, "version").status == 0
        return seen.pop()

    return run


def test_defaults(settings_of, tmp_path):
    settings = settings_of()
    assert settings.cache == tmp_path / "cache" / "sampan"
    assert (settings.quiet, settings.verbosity, settings.json) == (False, 1, False)
    assert settings.mirrors == settings.certificates == ()


@pytest.mark.parametrize("variable", ["SAMPAN_CACHE", "LINUXKIT_CACHE"])
def test_cache_of_the_environment(settings_of, monkeypatch, tmp_path, variable):
    monkeypatch.setenv(variable, str(tmp_path / "mine"))
    assert settings_of().cache == tmp_path / "mine"
    assert settings_of("-cache", tmp_path / "other").cache == tmp_path / "other"


def test_our_variable_wins_over_linuxkits(settings_of, monkeypatch, tmp_path):
    monkeypatch.setenv("SAMPAN_CACHE", "/ours")
    monkeypatch.setenv("LINUXKIT_CACHE", "/theirs")
    assert str(settings_of().cache) == "/ours"


def test_folders_of_machines_and_sockets(sampan, monkeypatch, tmp_path):
    monkeypatch.delenv("SAMPAN_RUNTIME_DIR", raising=False)
    seen: dict[str, str] = {}

    def cache_folder():
        seen.update(os.environ)
        return tmp_path / "cache"

    monkeypatch.setattr("sampan.cli.settings.cache_folder", cache_folder)
    assert sampan("version", "-state-dir", "here", "--runtime-dir", "there").status == 0
    assert seen["SAMPAN_STATE_DIR"] == str(tmp_path / "here")
    assert seen["SAMPAN_RUNTIME_DIR"] == str(tmp_path / "there")
    assert os.environ["SAMPAN_STATE_DIR"] == str(tmp_path / "state"), "for one command line only"
    assert "SAMPAN_RUNTIME_DIR" not in os.environ


def test_mirrors(settings_of, monkeypatch):
    monkeypatch.setenv("LINUXKIT_MIRROR", "http://a,docker.io=http://b  http://c")
    assert settings_of().mirrors == ("http://a", "docker.io=http://b", "http://c")
    assert settings_of("--mirror", "http://d").mirrors == ("http://d",)


def test_certificates(settings_of, tmp_path):
    (tmp_path / "ca.pem").touch()
    assert settings_of("--cert-file", "ca.pem").certificates[0].name == "ca.pem"


def test_quiet_and_verbose(settings_of):
    assert settings_of("-q").verbosity == 0
    assert settings_of("-v", "0").verbosity == 0


def _run(*words, **options):
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, check=False, timeout=60, **options
    )


def test_python_dash_m(tmp_path):
    done = _run("version", "--short", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{package.__version__}\n", "")


def test_a_reader_that_leaves_is_no_news():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, "schema"], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60
    )
    os.close(writer)
    assert done.stderr == b""
    assert done.returncode == 1


@pytest.mark.parametrize(("closed", "words"), [(">&-", "schema"), ("<&- >&- 2>&-", "nope")])
def test_closed_standard_streams_are_no_fault(closed, words):
    code = f"import sys; from sampan.cli.main import main; sys.exit(main(['{words}']))"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code],
        stderr=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0 if words == "schema" else 2, b"")


def test_being_terminated_leaves_nothing_half_written(tmp_path):
    code = (
        "import os, signal, click\nfrom pathlib import Path\nfrom sampan.base import fs\n"
        "from sampan.cli import main\n"
        "@click.command('version')\n"
        "def probe():\n"
        "    with fs.atomic_file(Path('out')):\n"
        "        os.kill(os.getpid(), signal.SIGTERM); signal.pause()\n"
        "main.load = lambda verb: probe\n"
        "raise SystemExit(main.main(['version']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout, done.stderr) == (143, b"", b"")
    assert list(tmp_path.iterdir()) == []


def test_version_as_a_flag(sampan):
    assert sampan("--version").out == f"{package.__version__}\n"
    assert sampan("-version").out == f"{package.__version__}\n"


@pytest.mark.parametrize(("given", "frozen"), [("", True), ("['--version']", False)])
def test_a_process_that_ends_looks_for_no_garbage(given, frozen):
    code = (
        "import gc, sys\nfrom sampan.cli import main\nsys.argv = ['sampan', '--version']\n"
        f"main.main({given})\nsys.exit(not gc.get_freeze_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode == 0) is frozen


def test_an_interrupt_ends_quietly_with_130(tmp_path):
    code = (
        "import os, signal, click\nfrom sampan.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it\n"
        "@click.command('version')\n"
        "def probe(): os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "main.load = lambda verb: probe\n"
        "raise SystemExit(main.main(['version']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "sampan: interrupted"
    assert signal.SIGINT.name not in done.stderr
