"""The API described as OpenAPI 3.1, made of the route registry and its models."""

from web.openapi.document import described, make_document

__all__ = ["described", "make_document"]
