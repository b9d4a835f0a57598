"""Stand-ins of third parties that speak their wire protocols."""
