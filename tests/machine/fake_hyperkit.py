"""A program that takes HyperKit's command line, strictly, and its signals.

`parse` is the grammar by itself. As a program it acts out the script that is the text of the
kernel, one step a line, with the machine's console on stdin and stdout:

    say TEXT      print TEXT and a newline on the console
    await TEXT    wait until TEXT was typed on the console
    button        wait for SIGTERM, the power button
    poweroff      end as when the guest powered off
    reboot        end as when the guest rebooted; but the next time go on after this step
    exit N        end with status N
    hang          do nothing more

With the single line `mute` it never says that it is ready; with `silent` it ends at once.

SIGUSR1 stops the script before its next step, SIGUSR2 lets it go on.
"""

import functools
import getopt
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path

RING_BYTES = 65536
EMULATIONS = {
    "hostbridge": 0, "lpc": 0, "virtio-rnd": 0, "virtio-net": 0, "virtio-blk": 1, "ahci-cd": 1,
    "virtio-vpnkit": 1, "virtio-sock": 1,
}  # fmt: skip
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class GrammarError(Exception):
    """The words are not what HyperKit takes."""


def parse(words):
    """What `words` (without the program) ask for."""
    try:
        options, rest = getopt.getopt(words, "behwxAuHPMWY:f:g:c:s:m:l:U:F:")
    except getopt.GetoptError as error:
        raise GrammarError(str(error)) from error
    given = dict(options)
    if rest or "-f" not in given:
        raise GrammarError(f"no firmware, or too many words: {rest}")
    slots = [_slot(value) for flag, value in options if flag == "-s"]
    if len({place for place, _, _ in slots}) != len(slots):
        raise GrammarError("a slot is taken twice")
    if "-U" in given and not UUID.fullmatch(given["-U"]):
        raise GrammarError(f"no UUID: {given['-U']}")
    return {
        "acpi": "-A" in given,
        "cpus": int(given.get("-c", 1)),
        "memory": _size(given.get("-m", "256")),
        "pid": given.get("-F"),
        "uuid": given.get("-U"),
        "slots": {place: (kind, conf) for place, kind, conf in slots},
        "com1": _uart(given.get("-l", "")),
        "firmware": _firmware(given["-f"]),
    }


def _size(text):
    found = re.fullmatch(r"(\d+)([KMGT]?)", text)
    if not found:
        raise GrammarError(f"invalid memsize {text}")
    return int(found[1]) << {"K": 10, "M": 20, "": 20, "G": 30, "T": 40}[found[2]]


def _slot(text):
    found = re.fullmatch(r"(\d+(?::\d+){0,2}),([a-z-]+)(?:,(.*))?", text)
    if not found or found[2] not in EMULATIONS:
        raise GrammarError(f"invalid PCI slot {text}")
    place, kind, conf = found[1], found[2], found[3] or ""
    if bool(conf) != bool(EMULATIONS[kind]):
        raise GrammarError(f"{kind} with {conf!r}")
    number = int(place.split(":")[0])
    if number > 31:
        raise GrammarError(f"there is no slot {number}")
    readers = {"virtio-blk": _block, "virtio-vpnkit": _vpnkit, "virtio-sock": _vsock}
    return number, kind, readers.get(kind, str)(conf)


def _block(conf):
    path, *options = conf.split(",")
    for option in options:
        if option not in (
            "nocache",
            "sync",
            "direct",
            "ro",
            "format=qcow",
        ) and not option.startswith(("sectorsize=", "qcow-config=", "qcow-stats-config=")):
            raise GrammarError(f"invalid device option {option!r}")
    if ("format=qcow" in options) != path.startswith("file://"):
        raise GrammarError(f"{path}: a URI is for qcow, and a path is not")
    with open(re.sub(r"^file://([^?]*).*", r"\1", path), "rb"):  # noqa: PTH123  a missing one is an error
        return path, *options


def _pairs(conf, known):
    pairs = dict(option.partition("=")[::2] for option in conf.split(","))
    if not pairs.keys() <= known or "path" not in pairs:
        raise GrammarError(f"unknown options in {conf}")
    return pairs


def _vpnkit(conf):
    pairs = _pairs(conf, {"path", "uuid", "preferred_ipv4", "macfile"})
    if not UUID.fullmatch(pairs.get("uuid", "")):
        raise GrammarError(f"no UUID in {conf}")
    return pairs


def _vsock(conf):
    pairs = _pairs(conf, {"path", "guest_cid", "guest_forwards"})
    forwards = [int(port) for port in pairs.get("guest_forwards", "").split(";") if port]
    if len(forwards) > 4:
        raise GrammarError("too many forwards")
    return {"cid": int(pairs["guest_cid"]), "path": pairs["path"], "forwards": forwards}


def _uart(text):
    port, *backends = text.split(",")
    if port != "com1" or any(
        not re.fullmatch("null|stdio|asl|autopty(=.+)?|log=.+|/dev/.+", each) for each in backends
    ):
        raise GrammarError(f"invalid serial port {text}")
    return backends


def _firmware(text):
    kind, kernel, initrd, cmdline = (text + ",,,").split(",", 3)
    if kind != "kexec" or not kernel:
        raise GrammarError(f"invalid firmware {text}")
    return {"kernel": kernel, "initrd": initrd, "cmdline": cmdline.removesuffix(",,,").rstrip(",")}


class Fake:
    def __init__(self, config):
        self.config = config
        self.typed, self.typing = "", threading.Condition()
        self.button, self.going = threading.Event(), threading.Event()
        self.going.set()
        for kind, conf in config["slots"].values():
            if kind == "virtio-sock":
                self.expose(conf)
        [log] = [each[4:] for each in config["com1"] if each.startswith("log=")]
        Path(log).write_bytes(bytes(RING_BYTES))

    def expose(self, conf):
        """The sockets of vsock, behind which nobody is."""
        folder, cid = Path(conf["path"]), conf["cid"]
        names = ["connect", *(f"{cid:08x}.{port:08x}" for port in conf["forwards"])]
        self.listeners = []
        for name in names:
            (folder / name).unlink(missing_ok=True)  # of the boot before
            self.listeners.append(socket.create_server(str(folder / name), family=socket.AF_UNIX))
        for port in conf["forwards"]:
            link = folder / f"guest.{port:08x}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"{cid:08x}.{port:08x}")

    def keyboard(self):
        while data := os.read(0, 4096):
            with self.typing:
                self.typed += data.decode()
                self.typing.notify()

    def has_typed(self, text):
        return text in self.typed

    def act(self, steps):
        mark = Path(os.environ["FAKE_FOLDER"], "rebooted")
        if mark.exists():
            steps = steps[steps.index("reboot") + 1 :]
        for step in steps:
            self.going.wait()
            verb, _, rest = step.partition(" ")
            if verb == "say":
                os.write(1, rest.encode() + b"\r\n")
            elif verb == "await":
                with self.typing:
                    self.typing.wait_for(functools.partial(self.has_typed, rest))
            elif verb == "button":
                self.button.wait()
            elif verb == "poweroff":
                os._exit(0)
            elif verb == "reboot":
                mark.touch()
                os._exit(2)
            elif verb == "exit":
                os._exit(int(rest))
            elif verb == "hang":
                threading.Event().wait()


def main():
    try:
        config = parse(sys.argv[1:])
    except (GrammarError, OSError, ValueError) as error:
        sys.stderr.write(f"hyperkit: {error}\n")
        os._exit(1)
    fake = Fake(config)
    signal.signal(signal.SIGTERM, lambda *_: fake.button.set())
    signal.signal(signal.SIGUSR1, lambda *_: fake.going.clear())
    signal.signal(signal.SIGUSR2, lambda *_: fake.going.set())
    steps = Path(config["firmware"]["kernel"]).read_text().splitlines()
    if steps == ["silent"]:
        sys.stderr.write("hyperkit: I do not want to\n")
        os._exit(1)
    if steps != ["mute"]:
        Path(config["pid"]).write_text(f"{os.getpid()}\n")
    threading.Thread(target=fake.keyboard, daemon=True).start()
    acting = threading.Thread(target=fake.act, args=(steps,), daemon=True)
    acting.start()
    while True:
        signal.pause()  # signals are handled in this thread


if __name__ == "__main__":
    main()
