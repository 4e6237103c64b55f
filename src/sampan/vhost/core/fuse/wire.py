"""FUSE as it is on the wire: numbers and structures of `linux/fuse.h`, little endian."""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

MAJOR, MINOR, LEAST_MINOR = 7, 38, 31
ROOT = 1  # the number of the shared folder's node
MAX_DATA = 1 << 20  # of one request to read or write
MAX_PAGES = MAX_DATA >> 12
MAX_REQUEST = MAX_DATA + 4096

IN_HEADER = struct.Struct("<IIQQIIIHH")  # length, op, unique, node, uid, gid, pid, extension, 0
OUT_HEADER = struct.Struct("<IiQ")  # length, -errno, unique
INIT_IN = struct.Struct("<IIII")  # major, minor, readahead, flags; flags2 may follow
INIT_OUT = struct.Struct("<IIIIHHIIHHI28x")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
ATTRIBUTES_OUT = struct.Struct("<QII")  # how long they are good for: seconds, nanoseconds
ENTRY_OUT = struct.Struct("<QQQQII")  # node, generation, seconds of entry and attributes, and ns
OPEN_OUT = struct.Struct("<QII")
WRITE_OUT = struct.Struct("<II")
STATFS_OUT = struct.Struct("<QQQQQIIII24x")
OFFSET = struct.Struct("<Q")
NODE = struct.Struct("<Q")
SIZE = struct.Struct("<II")
FORGET_ONE = struct.Struct("<QQ")
GETATTR_IN = struct.Struct("<IIQ")
SETATTR_IN = struct.Struct("<IIQQQQQQIIIIIIII")
OPEN_IN = struct.Struct("<II")
CREATE_IN = struct.Struct("<IIII")
MKNOD_IN = struct.Struct("<IIII")
MKDIR_IN = struct.Struct("<II")
RENAME2_IN = struct.Struct("<QII")
READ_IN = struct.Struct("<QQIIQII")
WRITE_IN = struct.Struct("<QQIIQII")
RELEASE_IN = struct.Struct("<QIIQ")
FSYNC_IN = struct.Struct("<QII")
SETXATTR_IN = struct.Struct("<II")
FALLOCATE_IN = struct.Struct("<QQQII")
LSEEK_IN = struct.Struct("<QQII")
COPY_IN = struct.Struct("<QQQQQQQ")
DIRENT = struct.Struct("<QQII")


class Op(IntEnum):
    """What can be asked for, as far as it is understood here."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    READLINK = 5
    SYMLINK = 6
    MKNOD = 8
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    LINK = 13
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    SETXATTR = 21
    GETXATTR = 22
    LISTXATTR = 23
    REMOVEXATTR = 24
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    ACCESS = 34
    CREATE = 35
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42
    FALLOCATE = 43
    READDIRPLUS = 44
    RENAME2 = 45
    LSEEK = 46
    COPY_FILE_RANGE = 47
    SYNCFS = 50
    TMPFILE = 51


class Feature(IntFlag):
    """What kernel and server agree on in INIT."""

    ASYNC_READ = 1 << 0
    ATOMIC_O_TRUNC = 1 << 3  # a file that is opened is cut off by the server, not before
    BIG_WRITES = 1 << 5
    AUTO_INVAL_DATA = 1 << 12  # cached data is dropped when size or time have changed
    DO_READDIRPLUS = 1 << 13
    READDIRPLUS_AUTO = 1 << 14
    ASYNC_DIO = 1 << 15
    PARALLEL_DIROPS = 1 << 18
    MAX_PAGES = 1 << 22
    HANDLE_KILLPRIV_V2 = 1 << 28  # the server takes setuid and setgid away where Linux would
    INIT_EXT = 1 << 30


class Set(IntFlag):
    """Which attributes SETATTR is about."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    HANDLE = 1 << 6
    ATIME_NOW = 1 << 7
    MTIME_NOW = 1 << 8
    KILL_SUIDGID = 1 << 11


class Opened(IntFlag):
    """What the kernel is told of a file that was opened."""

    NOTHING = 0
    DIRECT_IO = 1 << 0  # past the kernel's cache
    KEEP_CACHE = 1 << 1  # what it has of the file is still good
    NO_FLUSH = 1 << 5  # FLUSH need not be sent when it is closed


GETATTR_HANDLE = 1
OPEN_KILL_SUIDGID = 1
WRITE_KILL_SUIDGID = 1 << 2
FSYNC_DATA_ONLY = 1
