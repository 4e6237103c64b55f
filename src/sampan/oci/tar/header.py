"""The 512-byte header block of a tar archive, raw: fields in, fields out.

Pure. Says what the bytes are, not whether they make sense: names are cleaned and extended
headers applied in `reader`. (POSIX.1-2017 pax "ustar Interchange Format"; GNU tar manual,
"Basic Tar Format"; the base-256 numbers are GNU's and star's.)
"""

from __future__ import annotations

import msgspec

from sampan.errors import SampanError

BLOCK = 512
ZEROS = bytes(BLOCK)
_CHECKSUM = slice(148, 156)
_POSIX_MAGIC = b"ustar\x00"
_GNU_MAGIC = b"ustar "


class InvalidTarError(SampanError):
    """An archive is not a tar, is damaged, or uses something that is not supported."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what}: {why}", hint="the archive is damaged, or made by a tool with a fault"
        )


class Header(msgspec.Struct, frozen=True):
    """The fields of one block. Texts are bytes as they stand, `mtime` is in seconds."""

    name: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime: int = 0
    type: bytes = b"0"
    target: bytes = b""
    uname: bytes = b""
    gname: bytes = b""
    device: tuple[int, int] = (0, 0)
    prefix: bytes = b""


def decode(block: bytes) -> Header:
    """Read one block.

    Raises:
        ValueError: the checksum is wrong or a number is not a number; the text says which.
    """
    stored = _number(block[_CHECKSUM], "checksum")
    unsigned = sum(block[:148]) + 256 + sum(block[156:])
    if stored != unsigned and stored != _signed_sum(block):
        raise ValueError("the checksum of a header is wrong")
    magic = block[257:263]
    posix = magic == _POSIX_MAGIC
    named = posix or magic == _GNU_MAGIC
    kind = block[156:157]
    devices = kind in b"34" and named
    return Header(
        name=_text(block[0:100]),
        mode=_number(block[100:108], "mode"),
        uid=_number(block[108:116], "uid"),
        gid=_number(block[116:124], "gid"),
        size=_number(block[124:136], "size"),
        mtime=_number(block[136:148], "mtime"),
        type=kind,
        target=_text(block[157:257]),
        uname=_text(block[265:297]) if named else b"",
        gname=_text(block[297:329]) if named else b"",
        device=(_number(block[329:337], "devmajor"), _number(block[337:345], "devminor"))
        if devices
        else (0, 0),
        prefix=_text(block[345:500]) if posix else b"",
    )


def encode(header: Header) -> bytes:
    """Write one POSIX ustar block. Numbers that do not fit in octal are written in base 256.

    Raises:
        ValueError: a text is longer than its field.
    """
    block = bytearray(BLOCK)
    for start, length, text in (
        (0, 100, header.name),
        (156, 1, header.type),
        (157, 100, header.target),
        (257, 8, _POSIX_MAGIC + b"00"),
        (265, 32, header.uname),
        (297, 32, header.gname),
        (345, 155, header.prefix),
    ):
        if len(text) > length:
            raise ValueError(f"{text!r} does not fit in {length} bytes")
        block[start : start + len(text)] = text
    for start, length, number in (
        (100, 8, header.mode),
        (108, 8, header.uid),
        (116, 8, header.gid),
        (124, 12, header.size),
        (136, 12, header.mtime),
        (329, 8, header.device[0]),
        (337, 8, header.device[1]),
    ):
        block[start : start + length] = _field(number, length)
    block[_CHECKSUM] = b"        "
    block[_CHECKSUM] = b"%06o\x00 " % sum(block)
    return bytes(block)


def fits_octal(number: int, length: int) -> bool:
    """Whether `number` can be written as octal in a field of `length` bytes."""
    return 0 <= number < 1 << 3 * (length - 1)


def padding(size: int) -> int:
    """How many zero bytes follow a content of `size` bytes."""
    return -size % BLOCK


def _text(field: bytes) -> bytes:
    return field.partition(b"\x00")[0]


def _number(field: bytes, name: str) -> int:
    if field[0] & 0x80:
        value = int.from_bytes(field) & ((1 << (8 * len(field) - 1)) - 1)
        # the bit below the marker is the sign, as GNU tar writes it
        return value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    digits = field.partition(b"\x00")[0].strip(b" ")
    if not digits:
        return 0
    if digits.strip(b"01234567"):
        raise ValueError(f"the {name} of a header is not a number")
    return int(digits, 8)


def _field(number: int, length: int) -> bytes:
    if fits_octal(number, length):
        return b"%0*o\x00" % (length - 1, number)
    value = number if number >= 0 else number + (1 << (8 * length - 1))
    return (value | 1 << (8 * length - 1)).to_bytes(length)


def _signed_sum(block: bytes) -> int:
    # old tars of Sun and others summed signed bytes
    both = block[:148] + b"        " + block[156:]
    return sum(both) - 256 * sum(byte > 127 for byte in both)
