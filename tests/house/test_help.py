"""What `--help` of the commands about machines says, and how their flags may be typed."""

import click
import pytest

from sampan.cli import argv, main
from sampan.cli.verb import RUN, VERBS


def _commands(words, command, context):
    yield words, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands((*words, name), inner, click.Context(inner, context, name))


ROOT = click.Context(main.sampan, info_name="sampan", **main.sampan.context_settings)
COMMANDS = [
    found
    for verb in VERBS
    if verb.section == RUN and verb.name != "net"
    for found in _commands((verb.name,), main.load(verb), click.Context(main.load(verb), ROOT))
]


@pytest.mark.parametrize(("words", "command", "context"), COMMANDS, ids=lambda each: str(each)[:30])
def test_help_has_examples_and_statuses(words, command, context):
    text = command.get_help(context)
    assert f"sampan {words[0]} " in text.partition("Examples:")[2]
    assert "status" in text.partition("Examples:")[2].casefold()


@pytest.mark.parametrize(("words", "command", "context"), COMMANDS, ids=lambda each: str(each)[:30])
def test_long_flags_may_be_typed_with_one_dash(words, command, context):
    del context
    for option in command.params:
        for flag in option.opts if isinstance(option, click.Option) else ():
            value = [] if option.is_flag or option.count else ["x"]
            if flag.startswith("--"):
                assert flag in argv.rewrite(main.sampan, [*words, flag[1:], *value])
