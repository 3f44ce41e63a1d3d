"""Comparison of the results of two commits, with tests of significance."""
