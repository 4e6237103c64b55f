"""What every kit stands on: files, processes, sockets, loops, progress, units, clock, log.

Knows nothing of images, machines or networks.
"""
