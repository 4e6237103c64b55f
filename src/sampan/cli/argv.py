"""Command lines as people typed them for ten years, made into what click reads.

Two habits of LinuxKit's users are understood everywhere: long flags with one dash (`-format
tar`, `-publish=8080:80`), and global flags after the verb (`sampan build -q web.yml`). The
work is a pure function of the words and of the option tables of the commands they name;
whatever is unknown is left for click to complain about, spelled so that its guess is a good one;
of a global flag whose value is missing at the end of the line, click gets to see that alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import click

_VERBOSE_ALONE = "2"  # LinuxKit of 2017 had -v without a number


class _Options:
    """The options of one command by the words that name them (`--format`, `-f`)."""

    def __init__(self, context: click.Context) -> None:
        self.by_word = {
            word: option
            for option in context.command.get_params(context)
            if isinstance(option, click.Option)
            for word in (*option.opts, *option.secondary_opts)
        }

    def spell(self, word: str) -> str:
        """`word` with two dashes where it is a long flag written with one."""
        flag, equals, value = word.partition("=")
        long = f"-{flag}"
        if word.startswith("--") or flag in self.by_word:
            return word
        if long in self.by_word or not self._is_cluster(flag[1:]):
            return f"{long}{equals}{value}"
        return word

    def _is_cluster(self, letters: str) -> bool:
        """Whether `letters` are short flags, up to one that takes the rest as its value."""
        for letter in letters:
            option = self.by_word.get(f"-{letter}")
            if option is None:
                return False
            if _takes_value(option):
                return True
        return True

    def find(self, word: str) -> tuple[click.Option | None, bool]:
        """The option `word` ends with, and whether its value is the next word."""
        flag, equals, _ = word.partition("=")
        option = self.by_word.get(flag)
        if option is not None:
            return option, _takes_value(option) and not equals
        if word.startswith("--"):
            return None, False
        for place, letter in enumerate(word[1:], start=2):  # -qv 2, -ftar
            option = self.by_word.get(f"-{letter}")
            if option is None or _takes_value(option):
                return option, option is not None and place == len(word)
        return option, False


def _takes_value(option: click.Option) -> bool:
    return not option.is_flag and not option.count


def rewrite(root: click.Group, arguments: Sequence[str]) -> list[str]:
    """`arguments` with long flags spelled in full and the flags of `root` moved to the front."""
    words = deque(arguments)
    context = click.Context(root, **root.context_settings)
    globals_ = options = _Options(context)
    front: list[str] = []
    rest: list[str] = []
    while words:
        word = words.popleft()
        if word == "--":
            return [*front, *rest, word, *words]
        if not word.startswith("-") or word == "-":
            rest.append(word)
            entered = _enter(word, context)
            if entered is None:
                return [*front, *rest, *words]
            if entered is not context:
                context, options = entered, _Options(entered)
            continue
        table = _owner(word, options, globals_)
        taken = _take(table, word, words)
        (front if table is globals_ else rest).extend(taken)
        if table is globals_ and len(taken) == 1 and not words and table.find(*taken)[1]:
            return front  # its value is missing: at the front it would take the verb for that
    return [*front, *rest]


def _enter(word: str, context: click.Context) -> click.Context | None:
    """Who reads what follows the argument `word`; None: the rest is to be left alone."""
    command = context.command
    if not isinstance(command, click.Group):
        return context if context.allow_interspersed_args else None
    verb = command.get_command(context, word)
    if verb is None:
        return None
    return click.Context(verb, parent=context, info_name=word, **verb.context_settings)


def _owner(word: str, options: _Options, globals_: _Options) -> _Options:
    """Whose flag `word` is: the command's, unless only the global table has it."""
    own, _ = options.find(options.spell(word))
    foreign, _ = globals_.find(globals_.spell(word))
    return globals_ if own is None and foreign is not None else options


def _take(options: _Options, word: str, words: deque[str]) -> list[str]:
    spelled = options.spell(word)
    option, wants_value = options.find(spelled)
    taken = [spelled]
    if option is not None and wants_value:
        if option.name == "verbose" and not (words and words[0].isdecimal()):
            taken.append(_VERBOSE_ALONE)
        elif words:
            taken.append(words.popleft())
    return taken
