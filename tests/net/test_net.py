"""What the network kit offers at its top, and at what price."""

import subprocess
import sys

import pytest

from sampan import net


def test_the_names_are_there():
    assert net.UserNetwork.__name__ == "UserNetwork"
    assert net.Settings().mtu == 1500
    with pytest.raises(AttributeError, match="nothing"):
        _ = net.nothing


def test_who_uses_the_stack_gets_no_sockets_with_it():
    code = "import sys, sampan.net.core.stack; print('socket' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
