import pytest

from sampan.guest.remote import account
from sampan.guest.remote.account import Account
from sampan.guest.remote.fault import CallError

PASSWD = ["root:x:0:0::/root:/bin/sh\n", "www:x:33:34:Web:/var/www:/bin/false\n", "bad\n"]
GROUP = ["root:x:0:\n", "www:x:34:\n", "disk:x:6:www,other\n", "bad\n"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("root", Account(0, 0, (), "/root")),
        ("www", Account(33, 34, (6,), "/var/www")),
        ("33", Account(33, 34, (6,), "/var/www")),
        ("www:disk", Account(33, 6, (6,), "/var/www")),
        ("www:7", Account(33, 7, (6,), "/var/www")),
        ("1000", Account(1000, 1000, (), "/")),
        ("1000:disk", Account(1000, 6, (), "/")),
    ],
)
def test_accounts(text, expected):
    assert account.find(text, PASSWD, GROUP) == expected


@pytest.mark.parametrize("text", ["nobody", "www:none", ""])
def test_who_is_not_there(text):
    with pytest.raises(CallError, match="there is no"):
        account.find(text, PASSWD, GROUP)


def test_nobody_said_is_root():
    assert account.find_here("") == account.ROOT
    assert account.find_here("root").uid == 0
