"""`python -m sampan`: the same as the `sampan` program."""

from sampan.cli.entry import main

if __name__ == "__main__":
    raise SystemExit(main())
