"""Contracts between two people."""
