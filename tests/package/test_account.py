from sampan.package import account
from sampan.package.recipe import Group, User


def test_root_is_always_there():
    assert account.passwd("", []) == "root:x:0:0:root:/root:/bin/sh\n"
    assert account.group("", [], []) == "root:x:0:\n"


def test_users_are_added_with_their_groups():
    users = [User(name="www", uid=33, home="/var/www"), User(name="log", uid=7, gid=33)]
    assert account.passwd("", users).splitlines()[1:] == [
        "www:x:33:33::/var/www:/usr/sbin/nologin",
        "log:x:7:33::/:/usr/sbin/nologin",
    ]
    assert account.group("", [], users) == "root:x:0:\nwww:x:33:\n"


def test_a_declared_line_replaces_that_of_a_package():
    text = "root:x:0:0:root:/root:/bin/bash\nbin:x:2:2::/bin:/bin/false\n"
    users = [User(name="root", uid=0, home="/root", shell="/bin/ash")]
    assert account.passwd(text, users) == (
        "root:x:0:0::/root:/bin/ash\nbin:x:2:2::/bin:/bin/false\n"
    )


def test_a_group_that_a_package_has_is_not_made_again():
    users = [User(name="www", uid=33)]
    assert account.group("web:x:33:\n", [], users) == "root:x:0:\nweb:x:33:\n"
    groups = [Group(name="adm", gid=4, members=("www", "log"))]
    assert account.group("", groups, []) == "root:x:0:\nadm:x:4:www,log\n"
