"""PostgreSQL: models, migrations, mirror, outbox."""
