"""Steps of the schema, in order; written by Tortoise, guards by hand."""
