"""Handlers, one file an area: parse, call one service, render."""
