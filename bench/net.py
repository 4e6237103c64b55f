"""The network kit beside its peers: throughput, latency, connections, memory, processor time.

    sudo .venv/bin/python bench/net.py [--rounds N] [--only NAME,…] [--json FILE] [--write]

Each contender in turn serves the same kind of network namespace through a TAP, with the same
servers, clients, MTU and congestion control (see net_place.py); the contenders alternate, round
by round, so that a disturbance hits them alike. `--write` puts the table into RESULTS.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import signal
import sys
from pathlib import Path

import net_table
import results
from net_contender import Contender, contenders
from net_measure import Sample, Session
from net_place import Place


def one_round(
    place: Place, chosen: list[Contender], number: int, options: argparse.Namespace
) -> list[Sample]:
    """All contenders once, at each of their MTUs."""
    samples: list[Sample] = []
    wanted = options.measures.split(",") if options.measures else None
    for mtu in options.mtu:
        for contender in chosen:
            if mtu not in contender.mtus:
                continue
            session = Session(place, contender, mtu, options.seconds)
            with session.attached():
                for sample in session.take(number, wanted, growth=mtu == min(options.mtu)):
                    sys.stderr.write(net_table.line(sample) + "\n")
                    samples.append(sample)
    return samples


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = results.parser(__doc__, 5)
    parser.add_argument("--seconds", type=int, default=3, help="for each measure")
    parser.add_argument("--mtu", type=int, nargs="+", default=[1500, 65520])
    parser.add_argument("--congestion", default="reno", help="control of both namespaces")
    parser.add_argument("--measures", help="which of them, with commas; else all")
    parser.add_argument("--only", help="names of contenders, with commas")
    parser.add_argument("--pasta", default="pasta", help="which pasta (Debian's is old)")
    parser.add_argument("--json", type=Path, help="write every sample here")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if os.geteuid():
        raise SystemExit("network namespaces of both sides need root: run this with sudo")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
    wanted = options.only.split(",") if options.only else None
    known = contenders(options.pasta)
    chosen = [one for one in known if wanted is None or one.name in wanted]
    samples: list[Sample] = []
    with Place(options.congestion) as place:
        for number in range(options.rounds):
            samples += one_round(place, chosen, number, options)
    if options.json:
        rows = [dataclasses.asdict(sample) for sample in samples]
        options.json.write_text(json.dumps(rows, indent=1))
    section = net_table.section(samples, chosen, options)
    results.show("network", section, write=options.write)


if __name__ == "__main__":
    main()
