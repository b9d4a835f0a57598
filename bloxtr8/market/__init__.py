"""People, their accounts and rights; services of the marketplace."""
