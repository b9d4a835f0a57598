"""Comparing what we know with what the providers say.

Facts that were missed are made up for; all other differences are told.
"""
