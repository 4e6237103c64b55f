"""One driver per hypervisor: what it can do, its command line (pure), and its running process."""
