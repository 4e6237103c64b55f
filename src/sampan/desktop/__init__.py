"""What joins the kits into something a person runs: today a machine with a terminal.

The kits do not know one another; whatever needs two of them is wired here.
"""
