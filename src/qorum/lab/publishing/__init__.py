"""Replicas in processes of their own that publish and see their word agreed on: qorum's nodes, and those of a Raft."""
