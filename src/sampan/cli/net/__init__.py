"""`sampan net …`: run a network, and look at and change those that run; see `group`."""
