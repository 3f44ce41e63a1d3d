"""Helpers that are shared by all tests."""
