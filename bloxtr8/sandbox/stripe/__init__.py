"""A stand-in for Stripe that speaks its wire protocol: objects, errors, keys, webhooks."""

from bloxtr8.sandbox.stripe.server import StripeStandIn

__all__ = ["StripeStandIn"]
