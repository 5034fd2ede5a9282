"""The node: members of a federation on real sockets and disks, in real time."""
