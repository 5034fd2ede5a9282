"""What people see of a federation: its members, its rounds as they happen, and how each cell came about.

All of it is made from one `Member` by looking at it: nothing in the protocol knows that it is watched.
"""
