"""The HTTP side of a worker."""

from web.application import make_web
from web.worker import register

__all__ = ["make_web", "register"]
