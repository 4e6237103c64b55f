"""What every kit stands on: files, processes, progress, units, clock, log.

Knows nothing of images, machines or networks.
"""
