"""A program that takes QEMU's command line and speaks QMP, and acts out a script.

The script is the text of the file given as -kernel, one step a line:

    say TEXT        print TEXT and a newline on the console
    raw HEX         print bytes on the console
    await TEXT      wait until TEXT was typed on the console
    button          wait for the power button
    event JSON      send that QMP event
    poweroff, reset end the machine or reboot it (the script goes on) as a guest does
    exit N          end with status N, telling nobody
    complain TEXT   print TEXT on stderr
    hang            do nothing more

It can be saved and go on elsewhere: its state is how many steps it has done. It ends at once when `silent` is the first line. With -bios it is a probe of the accelerator:
it works if a file `kvm-works` lies beside the program.
"""

import json
import os
import re
import socket
import sys
import threading
from pathlib import Path

ARGV = sys.argv[1:]


def value_of(flag):
    return ARGV[ARGV.index(flag) + 1] if flag in ARGV else ""


class Fake:
    def __init__(self):
        fds = dict(re.findall(r"socket,id=(\w+),fd=(\d+)", " ".join(ARGV)))
        self.console = self.accept(fds["console"])
        self.qmp = self.accept(fds["qmp"])
        self.go, self.button = threading.Event(), threading.Event()
        self.typed, self.typing = "", threading.Condition()
        self.done = 0  # steps
        self.published = re.findall(r"hostfwd=(\w+):([\d.]+):(\d+)-:(\d+)", value_of("-netdev"))

    @staticmethod
    def accept(fd):
        return socket.socket(fileno=int(fd)).accept()[0]

    def tell(self, message):
        self.qmp.sendall(json.dumps(message).encode() + b"\r\n")

    def event(self, name, **data):
        self.tell({"event": name, "data": data, "timestamp": {"seconds": 1, "microseconds": 5}})

    def control(self):
        self.tell({"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}}}})
        for line in self.qmp.makefile("rb"):
            message = json.loads(line)
            reply = {"return": {}, "id": message["id"]}
            command = message["execute"]
            if command == "cont":
                self.go.set()
                self.event("RESUME")
            elif command == "stop":
                self.event("STOP")
            elif command == "system_powerdown":
                self.event("POWERDOWN")
                self.tell(reply)  # before the guest hears of it, which may end us
                self.button.set()
                continue
            elif command == "human-monitor-command":
                reply["return"] = self.monitor(message["arguments"]["command-line"])
            elif command in ("query-blockstats", "query-cpus-fast"):
                reply["return"] = []
            elif command == "migrate":
                self.tell(reply)
                self.save(message["arguments"]["uri"].removeprefix("unix:"))
                continue
            elif command == "migrate-incoming":
                descriptor = int(message["arguments"]["uri"].removeprefix("fd:"))
                self.done = int(os.pread(descriptor, 100, 0))
                self.event("MIGRATION", status="completed")
            elif command == "no-such-command":
                del reply["return"]
                reply["error"] = {"class": "CommandNotFound", "desc": "no such command"}
            self.tell(reply)

    def monitor(self, line):
        verb, *words = line.split()
        if verb == "info":
            return usernet_report(self.published)
        protocol, bind, host, *guest = words[1].replace("-:", ":").split(":")
        if verb == "hostfwd_add":
            self.published.append((protocol, bind, host, *guest))
            return ""
        left = [row for row in self.published if real(row) != (protocol, bind, int(host))]
        done, self.published = "removed" if left != self.published else "not found", left
        return f"host forwarding rule for {words[1]} {done}\r\n"

    def save(self, path):
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(path)
            stream.sendall(b"%d" % self.done)
        self.event("MIGRATION", status="completed")

    def keyboard(self):
        while data := self.console.recv(4096):
            with self.typing:
                self.typed += data.decode()
                self.typing.notify()

    def act(self, step):
        verb, _, rest = step.partition(" ")
        getattr(self, f"do_{verb}")(rest)

    def do_say(self, text):
        self.console.sendall(text.encode() + b"\r\n")

    def do_raw(self, digits):
        self.console.sendall(bytes.fromhex(digits))

    def do_await(self, text):
        with self.typing:
            self.typing.wait_for(lambda: text in self.typed)

    def do_button(self, _):
        self.button.wait()

    def do_event(self, message):
        self.tell(json.loads(message))

    def do_poweroff(self, _):
        self.event("SHUTDOWN", guest=True, reason="guest-shutdown")
        os._exit(0)

    def do_reset(self, _):
        self.event("RESET", guest=True, reason="guest-reset")

    def do_exit(self, status):
        os._exit(int(status))

    def do_complain(self, text):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def do_hang(self, _):
        threading.Event().wait()


def real(row):
    """Where a published port listens."""
    protocol, bind, host, guest = row
    return protocol, bind, int(host) or 40000 + int(guest)


def usernet_report(rows):
    lines = [
        "Hub -1 (net0):",
        "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ",
    ]
    for row in rows:
        protocol, bind, port = real(row)
        shown = "*" if bind == "0.0.0.0" else bind
        lines.append(
            f"  {protocol.upper()}[HOST_FORWARD]  12 {shown:>15} {port:5}       10.0.2.15 {row[3]:>5}     0     0"
        )
    return "\r\n".join(lines) + "\r\n"


def main():
    if "-bios" in ARGV:
        if Path(os.environ["FAKE_QEMU"], "kvm-works").exists():
            os._exit(85)
        sys.stderr.write("fake: failed to initialize kvm\n")
        os._exit(1)
    steps = Path(value_of("-kernel")).read_text().splitlines()
    if steps[:1] == ["silent"]:
        sys.stderr.write("fake: I do not want to\n")
        os._exit(1)
    fake = Fake()
    threading.Thread(target=fake.control, daemon=True).start()
    threading.Thread(target=fake.keyboard, daemon=True).start()
    fake.go.wait()
    for step in steps[fake.done :]:
        fake.act(step)
        fake.done += 1
    fake.do_hang("")


main()
