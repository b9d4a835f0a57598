"""A stand-in for a custodian: the contract of docs/custodian-openapi.json on the local chain."""

from bloxtr8.sandbox.custodian.server import CustodianStandIn

__all__ = ["CustodianStandIn"]
