import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind


def test_a_plain_file_needs_little():
    entry = Entry("etc/motd", Kind.FILE, 0o644, size=3)
    assert (entry.uid, entry.gid, entry.target, entry.xattrs) == (0, 0, "", ())


def test_kinds_are_the_letters_of_find():
    assert "".join(Kind) == "fdlhcbp"


ENTRIES = st.builds(
    Entry,
    st.text(),
    st.sampled_from(Kind),
    st.integers(0, 0o7777),
    xattrs=st.lists(st.tuples(st.text(), st.binary())).map(tuple),
    device=st.tuples(st.integers(0, 4095), st.integers(0, 1 << 20)),
)


@given(ENTRIES)
def test_entries_survive_msgpack(entry):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(entry), type=Entry) == entry
