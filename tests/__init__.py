"""A package of its own: a library may install one of the same name, which would otherwise come first."""
