"""`sampan net serve`: a network that machines connect to, until it is ended."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from sampan.cli import jsonout
from sampan.cli.net import listen as listen_
from sampan.cli.net import place, setting
from sampan.cli.settings import Settings
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.net.hook import Hook
    from sampan.net.runtime.assembly import Assembly
    from sampan.net.runtime.control.assembled import Assembled
    from sampan.net.runtime.entrance import Entrance
    from sampan.net.runtime.usernet import UserNetwork

_EPILOG = """\b
Examples:
  sampan net serve --listen qemu:/tmp/vm.sock --publish 8080:80
  sampan net serve --listen vhost-user:/tmp/fast.sock --policy egress.yml
  sampan net serve --name lab --listen qemu:/tmp/a.sock --listen qemu:/tmp/b.sock

\b
Kinds of --listen:
  qemu:PATH        QEMU's -netdev stream; any number of machines
  dgram:PATH       QEMU's -netdev dgram; one machine
  vhost-user:PATH  vhost-user-net, the fastest; any number of machines
  vfkit:PATH       vfkit and Apple's Virtualization; one machine
  hyperkit:PATH    HyperKit's virtio-vpnkit, as VPNKit's --ethernet
  tap:NAME         a TAP device of this network namespace
  stdio            frames on stdin and stdout, each behind its length (u16, little endian)

It runs until Ctrl-C, SIGTERM or `sampan net shutdown`.
"""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """What is said once everything listens."""

    name: str
    control: Path
    links: tuple[str, ...]
    examples: tuple[str, ...]
    forwards: tuple[str, ...]


@click.command("serve", epilog=_EPILOG)
@click.option(
    "--listen", "texts", multiple=True, metavar="KIND:PATH", help="Where machines connect; repeat."
)
@click.option("--ethernet", metavar="PATH", hidden=True, help="VPNKit's name of hyperkit:PATH.")
@click.option(
    "--name", envvar="SAMPAN_NET", default=place.DEFAULT_NAME, show_default=True,
    help="What it is called, for the other commands.  [env: SAMPAN_NET]",
)  # fmt: skip
@click.option(
    "--control", type=click.Path(path_type=Path), metavar="PATH",
    help="Where its control socket is.  [default: in the runtime folder, by its name]",
)  # fmt: skip
@click.option("--hooks", type=click.Path(path_type=Path), metavar="FILE",
              help="Python functions that watch and change what passes.")  # fmt: skip
@click.option("--capture", "--pcap", metavar="FILE", help="Write all frames, for Wireshark.")
@click.option("--until-idle", type=click.FloatRange(min=0), metavar="SECONDS",
              help="End once no machine has been connected for so long.")  # fmt: skip
@click.option("--ready-fd", type=int, metavar="N",
              help="Write 1 to this descriptor, and close it, once everything listens.")  # fmt: skip
@setting.options
@click.pass_obj
def command(
    settings: Settings,
    texts: tuple[str, ...],
    ethernet: str | None,
    name: str,
    control: Path | None,
    hooks: Path | None,
    capture: str | None,
    until_idle: float | None,
    ready_fd: int | None,
    wanted: dict[str, object],
) -> None:
    """Run a network for virtual machines, without privileges."""
    from sampan.net.runtime import entrance

    if ethernet is not None:
        texts = (*texts, f"hyperkit:{ethernet.removeprefix('unix:')}")
    listens = tuple(map(entrance.parse, texts))
    if not listens:
        raise UsageError(
            "there is no place where machines could connect",
            hint="for instance --listen qemu:/tmp/vm.sock",
        )
    path = control.absolute() if control is not None else place.socket(name)
    ended = threading.Event()
    with ExitStack() as stack:
        network = stack.enter_context(started(setting.build(wanted), hooks))
        for each in listens:
            stack.enter_context(_open(network, each, ended))
        if until_idle is not None:
            _end_when_idle(network, until_idle, ended)
        names = tuple(map(str, listens))
        controlled = stack.enter_context(
            controlled_at(network, path, name=name, listens=names, capture=capture, ended=ended)
        )
        running = Running(
            name=name,
            control=path,
            links=names,
            examples=tuple(map(listen_.example, listens)),
            forwards=tuple(map(str, network.call(lambda _: controlled.forwards()))),
        )
        run(settings, running, ready_fd, ended, network)


@contextmanager
def started(
    settings: Any,  # noqa: ANN401  net.Settings
    hooks: Path | None,
) -> Iterator[UserNetwork]:
    """A network with the hooks of a file."""
    from sampan.net.runtime.host.descriptor import raise_limit
    from sampan.net.runtime.usernet import UserNetwork
    from sampan.net.runtime.view import hookfile

    raise_limit()
    found: tuple[Hook[Any], ...] = hookfile.load(hooks) if hooks is not None else ()
    with UserNetwork(settings, found) as network:
        yield network


@contextmanager
def controlled_at(
    network: UserNetwork,
    path: Path,
    *,
    name: str,
    listens: tuple[str, ...],
    capture: str | None,
    ended: threading.Event,
) -> Iterator[Assembled]:
    """The control API of a network, and a capture of all frames if that is wanted."""
    from sampan.net.runtime.control.assembled import serving
    from sampan.net.runtime.control.model import CaptureAsked

    with serving(network, path, name=name, listens=listens, stop=ended.set) as controlled:
        if capture is not None:
            asked = CaptureAsked(path=str(Path(capture).absolute()))
            network.call(lambda _: controlled.start_capture(asked))
        yield controlled


@contextmanager
def _open(network: UserNetwork, where: Entrance, ended: threading.Event) -> Iterator[None]:
    from sampan.base.loop import LoopClosedError
    from sampan.net.runtime import entrance

    def begin(assembly: Assembly) -> Callable[[], None]:
        return entrance.begin(assembly, where, ended.set)

    end = network.call(begin)
    try:
        yield
    finally:
        with suppress(LoopClosedError):  # it failed
            network.call(lambda _: end())


def _end_when_idle(network: UserNetwork, seconds: float, ended: threading.Event) -> None:
    from sampan.net.runtime.idle import IdleWatch

    network.call(lambda assembly: IdleWatch(assembly.engine, seconds, ended.set))


def run(
    settings: Settings,
    running: Running,
    ready_fd: int | None,
    ended: threading.Event,
    network: UserNetwork,
) -> None:
    """Say what listens, then wait until somebody ends it: Ctrl-C and SIGTERM are ways to do that.

    Raises:
        UsageError: `ready_fd` is no descriptor that can be written to.
        SampanError: the network ended by itself.
    """
    failed = threading.Event()

    def over() -> None:
        failed.set()
        ended.set()

    network.when_over(over)
    with suppress(KeyboardInterrupt, SystemExit):
        _announce(settings, running, ready_fd)
        ended.wait()
    if failed.is_set():
        raise SampanError("the network has failed", hint="what is above says why")


def _announce(settings: Settings, running: Running, ready_fd: int | None) -> None:
    if settings.json:
        sys.stderr.write(jsonout.line(running))
    elif not settings.quiet:
        sys.stderr.write(f"sampan: network {running.name}, controlled at {running.control}\n")
        for link, example in zip(running.links, running.examples, strict=True):
            sys.stderr.write(f"sampan: machines connect at {link}\n    {example}\n")
        for forward in running.forwards:
            sys.stderr.write(f"sampan: forwards {forward}\n")
    sys.stderr.flush()
    if ready_fd is not None:
        try:
            os.write(ready_fd, b"1")
            os.close(ready_fd)
        except OSError as error:
            raise UsageError(f"--ready-fd {ready_fd}: {error.strerror}") from error
