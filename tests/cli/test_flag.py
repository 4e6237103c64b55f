from typing import NamedTuple

import click
from click.testing import CliRunner

from sampan.cli import flag


class Flags(NamedTuple):
    size: int
    color: str = "red"


@click.command
@click.argument("what")
@flag.gathered(
    "chosen",
    Flags,
    click.option("--size", type=int, default=1),
    click.option("--color", default="red"),
    click.option("--other", is_flag=True),
)
def command(what, chosen, other):
    """Say what was given."""
    click.echo((what, chosen, other))


def test_flags_come_as_one_value_and_others_as_they_are():
    done = CliRunner().invoke(command, ["--size", "7", "it", "--other"])
    assert done.output == f"{('it', Flags(7, 'red'), True)}\n"


def test_help_has_them_in_their_order():
    shown = CliRunner().invoke(command, ["--help"]).output
    assert shown.index("--size") < shown.index("--color") < shown.index("--other")


def test_a_command_keeps_its_name_and_what_it_says_of_itself():
    assert (command.name, command.help) == ("command", "Say what was given.")


def test_flags_by_themselves():
    @click.command
    @flag.given(click.option("--first"), click.option("--second"))
    def plain(first, second):
        click.echo(f"{first} {second}")

    assert CliRunner().invoke(plain, ["--second", "b", "--first", "a"]).output == "a b\n"
    assert [each.name for each in plain.params] == ["first", "second"]
