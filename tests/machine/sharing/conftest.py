"""The other end of a share's control channel."""

import json
import threading
from pathlib import Path

import pytest

from sampan.machine.device import Share
from sampan.machine.sharing.control import Control


class FakeServer:
    """Plays along with everything, in a thread, until the channel ends; keeps what was said."""

    def __init__(self, control, answer):
        self.said = []
        self._answer = answer
        self._socket = control.theirs.dup()
        control.started()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with self._socket, self._socket.makefile("rwb", buffering=0) as stream:
            for line in stream:
                said = json.loads(line)
                self.said.append(said)
                answer = self._answer(said)
                if answer is None:
                    return
                stream.write(answer)

    def join(self):
        self._thread.join()


def agreeing(said):
    """The answer of a server that does what it is asked."""
    rows = said.get("stage")
    return json.dumps({} if rows is None else {"staged": len(rows)}).encode() + b"\n"


@pytest.fixture
def served():
    """Makes a control whose server gives the answer of a function, and that server."""
    made = []

    def make(answer=agreeing, folder=Path("/none")):
        share = Share(source=folder, tag="a", target="/src", events=True)
        control = Control(share)
        made.append((control, FakeServer(control, answer)))
        return made[-1]

    yield make
    for control, server in made:
        control.close()
        server.join()
