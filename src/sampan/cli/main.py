"""The entry: global flags, the lazy table of verbs, and how every error ends.

Only this module turns an exception into text and an exit status (`sampan.errors.ExitCode`);
everything below raises. With `--json` the same facts are objects on stderr.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sampan.cli import argv as argv_
from sampan.cli import settings as settings_
from sampan.cli.verb import VERBS, Verb

_EPILOG = """\b
Examples:
  sampan build web.yml
  sampan run --publish 8080:80 web

Flags may be written with one dash (-format tar); those above may also follow the verb.
"""


class VerbGroup(click.Group):
    """The verbs of the table, each imported when it is used."""

    _verbs = {verb.name: verb for verb in VERBS}  # noqa: RUF012

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all verbs, in the order of the table."""
        return list(self._verbs)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb; importing it happens here."""
        verb = self._verbs.get(cmd_name)
        return None if verb is None else load(verb)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, but a guess at what was meant is made among the verbs of the table."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from sampan.spec.guess import nearest

            guess = nearest(args[0], self._verbs)
            if guess is None:
                raise
            text = f"{error.message} Did you mean {guess!r}?"
            raise click.UsageError(text, error.ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        """As click does it, but of a flag without its value it is said whose flag it is."""
        try:
            return super().invoke(ctx)
        except click.BadOptionUsage as error:
            if error.ctx is None and ctx.invoked_subcommand in self._verbs:
                verb = load(self._verbs[ctx.invoked_subcommand])
                error.ctx = click.Context(verb, ctx, info_name=verb.name)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by section, from the table: no verb is imported for it."""
        for section in dict.fromkeys(verb.section for verb in VERBS):
            with formatter.section(section):
                formatter.write_dl(
                    [(verb.name, verb.help) for verb in VERBS if verb.section == section]
                )


def load(verb: Verb) -> click.Command:
    """Import the command of `verb`."""
    module, _, attribute = verb.target.partition(":")
    command = getattr(importlib.import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def _print_version(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if value:
        import sampan as package

        click.echo(package.__version__)
        context.exit()


def _variable(name: str) -> Callable[[click.Context, click.Parameter, Path | None], None]:
    """A flag that stands for the environment variable `name`, for this command line."""

    def tell(context: click.Context, option: click.Parameter, value: Path | None) -> None:
        del option
        if value is None:
            return
        before = os.environ.get(name)

        def restore() -> None:
            if before is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = before

        os.environ[name] = str(value.absolute())
        context.call_on_close(restore)

    return tell


@click.group(
    cls=VerbGroup, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    envvar=["SAMPAN_CACHE", "LINUXKIT_CACHE"],
    help="Folder of the image cache.  [env: SAMPAN_CACHE, LINUXKIT_CACHE; default: "
    "~/.cache/sampan]",
)
@click.option(
    "--state-dir", type=click.Path(file_okay=False, path_type=Path), expose_value=False,
    callback=_variable("SAMPAN_STATE_DIR"),
    help="Folder of machines.  [env: SAMPAN_STATE_DIR; default: ~/.local/share/sampan]",
)  # fmt: skip
@click.option(
    "--runtime-dir", type=click.Path(file_okay=False, path_type=Path), expose_value=False,
    callback=_variable("SAMPAN_RUNTIME_DIR"),
    help="Folder of sockets.  [env: SAMPAN_RUNTIME_DIR; default: $XDG_RUNTIME_DIR/sampan, "
    "else a short one below /tmp]",
)  # fmt: skip
@click.option(
    "--cert-file",
    "certificates",
    multiple=True,
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Further CA certificates for registries; repeat for more.",
)
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="[REGISTRY=]URL",
    help="Ask URL instead of REGISTRY (of all, without one); repeat.  [env: LINUXKIT_MIRROR]",
)
@click.option(
    "--registry-creds",
    "logins",
    multiple=True,
    metavar="REGISTRY=USER:PASSWORD",
    help="A login, before those of Docker's configuration; repeat.",
)
@click.option(
    "--debian-mirror",
    default="",
    metavar="URL",
    envvar="SAMPAN_DEBIAN_MIRROR",
    help="Debian archive to compose packages from.  [env: SAMPAN_DEBIAN_MIRROR; default: that "
    "of this computer's apt]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors and results.")
@click.option(
    "-v",
    "--verbose",
    type=click.IntRange(0, 3),
    default=1,
    metavar="N",
    help="How much to log: 0 errors, 1 warnings, 2 what is done, 3 everything.  [default: 1]",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
@click.option("--json", "json_", is_flag=True, help="Print results and errors as JSON.")
@click.pass_context
def sampan(
    context: click.Context,
    cache: Path | None,
    certificates: tuple[Path, ...],
    mirrors: tuple[str, ...],
    logins: tuple[str, ...],
    debian_mirror: str,
    quiet: bool,
    verbose: int,
    json_: bool,
) -> None:
    """Build small Linux systems out of containers, run them, and connect them."""
    context.obj = settings_.Settings(
        cache=cache or settings_.cache_folder(),
        certificates=certificates,
        mirrors=mirrors or settings_.mirrors_of_environment(),
        logins=logins,
        debian_mirror=debian_mirror,
        quiet=quiet,
        verbosity=0 if quiet else verbose,
        json=json_,
        words=context.obj or (),
    )
    from sampan.base import log

    log.to_stderr(context.obj.verbosity, json=json_)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: that of this process) and return its exit status.

    Without `arguments`, the process is expected to end afterwards.
    """
    status = _run(list(sys.argv[1:] if arguments is None else arguments))
    if arguments is None:
        gc.freeze()  # nobody has to look for garbage in what ends with the process
    return status


def _run(words: list[str]) -> int:
    _fill_standard_streams()
    try:
        with _terminable():
            words = argv_.rewrite(sampan, words)
            status = sampan.main(
                args=words, prog_name="sampan", standalone_mode=False, obj=tuple(words)
            )
            sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  the last stop: nothing may pass as a traceback
        from sampan.cli import failure

        return failure.report(error, json="--json" in words or "-json" in words)
    return status if isinstance(status, int) else 0


def _fill_standard_streams() -> None:
    """Give those that were closed to the null device.

    Otherwise the next file opened, an output perhaps, would be stdout for every child.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            null = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115  stays open
            setattr(sys, name, null)


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM unwinds the block, so that half-written files are removed, as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals arrive elsewhere
        return

    def unwind(number: int, frame: object) -> None:
        raise SystemExit(128 + number)  # the status a shell gives to what a signal ended

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
