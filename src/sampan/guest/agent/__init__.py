"""The program `service`: what runs inside a system, beyond busybox.

Plain standard-library Python for Debian's `python3.13-minimal`; recipes copy this folder into
images, so nothing here may import the rest of Sampan. It starts several times per boot under
software emulation: modules that are slow to import (`dataclasses`, `typing`, `subprocess`,
`argparse`, `logging`) stay out, hence the plain classes with `__slots__`.

Documents (`document`), plans (`mount`, `policy`, `netlink` messages, `supervisor`) are pure;
system calls and programs are in `kernel`, `process`, `container`, `engine` and `daemon`.
"""
