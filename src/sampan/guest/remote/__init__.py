"""The program `agent`: what the host can do inside a running system, over a serial port.

Plain standard-library Python for Debian's `python3.13-minimal`; the package `sampan/agent` copies
this folder and `sampan.base.agent` into its image, and nothing else of Sampan may be imported
here. It is a service like others; what it is asked for happens in the root of the system
(`place`), in processes of their own (`job`), so that the program itself never waits.
"""
