"""The escrow rules, pure: no Faust, no database, no clock, no network."""
