"""The document of a contract: what it says, how it looks, and the process that draws it."""
