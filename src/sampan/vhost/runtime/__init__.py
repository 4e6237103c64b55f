"""vhost-user on a loop: the socket, the mapped memory, the event descriptors."""
