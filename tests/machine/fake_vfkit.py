"""A program that takes vfkit's command line, strictly, and serves its REST API.

`parse` is the grammar by itself: words in, what GET /vm/inspect would say out. As a program it
acts out the script that is the text of the kernel, one step a line, with the machine's console
on stdin and stdout:

    say TEXT      print TEXT and a newline on the console
    await TEXT    wait until TEXT was typed on the console
    button        wait for POST /vm/state {"state": "Stop"}
    frame HEX     send a frame on the network
    poweroff      end as when the guest powered off
    exit N        end with status N
    complain TEXT print TEXT on stderr
    hang          do nothing more

With `mute` as the first line it serves nothing; with `silent` it ends at once.
"""

import argparse
import json
import os
import re
import socket
import sys
import threading
from pathlib import Path

MAX_SOCKET = 103


class GrammarError(Exception):
    """The words are not what vfkit takes."""


def parse(words):
    """What `words` (without the program) ask for, in the form of vfkit's JSON."""
    args = _arguments(words)
    return {
        "vcpus": args.cpus,
        "memoryBytes": args.memory << 20,
        "bootloader": _boot_loader(args.bootloader),
        "devices": [_device(text) for text in args.device],
        "restful": _uri(args.restful_uri),
    }


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise GrammarError(message)


def _arguments(words):
    parser = _Parser(allow_abbrev=False)
    parser.add_argument("--cpus", "-c", type=int, default=1)
    parser.add_argument("--memory", "-m", type=int, default=512)
    parser.add_argument("--bootloader", "-b", required=True)
    parser.add_argument("--device", "-d", action="append", default=[])
    parser.add_argument("--restful-uri", default="none://")
    return parser.parse_args(words)


def _uri(text):
    if not text.startswith("unix:///"):
        raise GrammarError(f"not a socket: {text}")
    path = text.removeprefix("unix://")
    if len(path.encode()) > MAX_SOCKET:
        raise GrammarError("the socket path is too long")
    return path


def _options(parts):
    return [
        tuple((part + "=").split("=", 1)) if "=" not in part else tuple(part.split("=", 1))
        for part in parts
        if part
    ]


def _boot_loader(text):
    if text.count('"') % 2:
        raise GrammarError("mismatched quotes")
    parts = re.findall(r'(?:[^,"]|"[^"]*")+', text)
    if parts[:1] != ["linux"]:
        raise GrammarError(f"unknown boot loader {text}")
    keys = {"kernel": "vmlinuzPath", "initrd": "initrdPath", "cmdline": "kernelCmdLine"}
    found = {"kind": "linuxBootloader"}
    for key, value in _options(parts[1:]):
        if key not in keys:
            raise GrammarError(f"unknown option of the boot loader: {key}")
        found[keys[key]] = value.strip('"') if key == "cmdline" else value
    return found


def _device(text):
    kind, *parts = text.split(",")  # at every comma, quotes or not
    parsers = {
        "virtio-rng": _rng, "virtio-serial": _serial, "virtio-net": _net, "virtio-blk": _disk,
        "usb-mass-storage": _disk, "virtio-fs": _share, "virtio-vsock": _vsock,
    }  # fmt: skip
    if kind not in parsers:
        raise GrammarError(f"unknown device type: {kind}")
    options = dict(_options(parts))
    device = {"kind": kind.replace("-", ""), **parsers[kind](options)}
    if options:
        raise GrammarError(f"unknown options of {kind}: {options}")
    return device


def _rng(_):
    return {}


def _serial(options):
    if options.pop("stdio", None) != "":
        raise GrammarError("one of logFilePath, stdio or pty must be set")
    return {"usesStdio": True}


def _net(options):
    nat, path = options.pop("nat", None) is not None, options.pop("unixSocketPath", "")
    if nat == bool(path):
        raise GrammarError("one of nat, fd or unixSocketPath must be set")
    mac = options.pop("mac", "")
    if not re.fullmatch("([0-9a-f]{2}:){5}[0-9a-f]{2}", mac):
        raise GrammarError(f"address {mac}: invalid MAC address")
    network = {"nat": nat, "macAddress": mac}
    return network if nat else {**network, "unixSocketPath": path, "vfkitMagic": True}


def _disk(options):
    path = options.pop("path", "")
    with Path(path).open("rb") as stream:  # a missing file is an error
        if stream.read(4) == b"QFI\xfb":
            raise GrammarError(f"{path}: qcow2 is not supported")
    return {"imagePath": path, "readOnly": options.pop("readonly", None) is not None}


def _share(options):
    return {"sharedDir": options.pop("sharedDir"), "mountTag": options.pop("mountTag", "")}


def _vsock(options):
    return {
        "port": int(options.pop("port")),
        "socketURL": options.pop("socketURL"),
        "listen": options.pop("connect", None) is None,
    }


class Fake:
    def __init__(self, config):
        self.config = config
        self.typed, self.typing = "", threading.Condition()
        self.button, self.going = threading.Event(), threading.Event()
        self.going.set()
        self.asked = threading.Event()
        self.link = None
        for device in config["devices"]:
            if device["kind"] == "virtionet" and not device["nat"]:
                self.link = self.join(device["unixSocketPath"])
            if device["kind"] == "virtiovsock":
                self.expose(device["socketURL"])

    def join(self, path):
        """As vfkit does: a datagram socket with a name of its own, and a greeting."""
        link = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        link.bind(f"{path}.{os.getpid()}")
        link.connect(path)
        link.send(b"VFKT")
        return link

    def expose(self, path):
        """The guest echoes what it is sent."""
        listener = socket.create_server(path, family=socket.AF_UNIX)

        def serve():
            while True:
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(connection.recv(4096))

        threading.Thread(target=serve, daemon=True).start()

    def serve(self):
        listener = socket.create_server(self.config["restful"], family=socket.AF_UNIX)
        while True:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as stream:
                method, path, _ = stream.readline().decode().split()
                headers = {}
                while (line := stream.readline()) != b"\r\n":
                    name, _, value = line.decode().partition(":")
                    headers[name.lower()] = value.strip()
                body = stream.read(int(headers.get("content-length", 0)))
                status, answer = self.answer(method, path, body)
                text = json.dumps(answer).encode() if answer is not None else b""
                connection.sendall(
                    f"HTTP/1.0 {status} X\r\nContent-Length: {len(text)}\r\n\r\n".encode() + text
                )

    def answer(self, method, path, body):
        if (method, path) == ("GET", "/vm/state"):
            self.asked.set()
            state = "Running" if self.going.is_set() else "Paused"
            return 200, {"state": f"VirtualMachineState{state}"}
        if (method, path) == ("GET", "/vm/inspect"):
            return 200, self.config
        if (method, path) != ("POST", "/vm/state"):
            return 404, None
        wanted = json.loads(body)["state"]
        if wanted == "Pause":
            if not self.going.is_set():
                return 500, {"error": "cannot pause: it is paused"}
            self.going.clear()
        elif wanted == "Resume":
            self.going.set()
        elif wanted == "Stop":
            self.button.set()
        elif wanted == "HardStop":
            os._exit(0)
        else:
            return 500, {"error": f"invalid new VMState: {wanted}"}
        return 202, None

    def keyboard(self):
        while data := os.read(0, 4096):
            with self.typing:
                self.typed += data.decode()
                self.typing.notify()

    def act(self, step):
        self.going.wait()
        verb, _, rest = step.partition(" ")
        getattr(self, f"do_{verb}")(rest)

    def do_say(self, text):
        os.write(1, text.encode() + b"\r\n")

    def do_await(self, text):
        with self.typing:
            self.typing.wait_for(lambda: text in self.typed)

    def do_button(self, _):
        self.button.wait()

    def do_frame(self, digits):
        self.link.send(bytes.fromhex(digits))

    def do_poweroff(self, _):
        os._exit(0)

    def do_exit(self, status):
        os._exit(int(status))

    def do_complain(self, text):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def do_hang(self, _):
        threading.Event().wait()


def main():
    try:
        config = parse(sys.argv[1:])
    except (GrammarError, OSError, KeyError, ValueError) as error:
        sys.stderr.write(f"Error: {error}\n")
        os._exit(1)
    if not os.isatty(0):
        sys.stderr.write("Error: stdin is no terminal\n")
        os._exit(1)
    steps = Path(config["bootloader"]["vmlinuzPath"]).read_text().splitlines()
    if steps[:1] == ["silent"]:
        sys.stderr.write("Error: I do not want to\n")
        os._exit(1)
    fake = Fake(config)
    if steps[:1] != ["mute"]:
        threading.Thread(target=fake.serve, daemon=True).start()
        fake.asked.wait()  # a guest takes longer to boot than whoever waits for the API
    else:
        steps = ["hang"]
    threading.Thread(target=fake.keyboard, daemon=True).start()
    for step in steps:
        fake.act(step)
    fake.do_hang("")


if __name__ == "__main__":
    main()
