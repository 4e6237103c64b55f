"""Machines in the middle of their life: suspended, kept as snapshots, cloned, moved."""
