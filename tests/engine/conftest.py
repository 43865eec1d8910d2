"""Whole answers are compared too."""

from tests.fingerprints import nothing_else_has_changed

__all__ = ["nothing_else_has_changed"]
