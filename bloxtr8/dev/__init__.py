"""The embedded stack: PostgreSQL, Kafka, stand-ins and workers on one machine."""
