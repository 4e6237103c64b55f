"""Programs of small packages: `format`, `mount`, `metadata`, `host-timesync-daemon`, `vsudd`.

Plain standard-library Python for Debian's `python3.13-minimal`, as `guest.agent`, of which they
use the mounts and the starting of programs; recipes copy both folders into images. Their options
are those of LinuxKit's programs of these names.
"""
