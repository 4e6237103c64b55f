"""Reaching a machine that another process runs: its control socket, both ends of it.

`server` and `method` are the side of whoever runs the machine, `client` (asyncio) and `blocking`
that of everybody else; `protocol` is what they say, without any I/O. Others add methods of their
own with `Server.add`.
"""
