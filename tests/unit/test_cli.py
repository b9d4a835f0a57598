"""The `bloxtr8` command where nothing is running."""

import pytest
from click.testing import CliRunner

from bloxtr8.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["migrate"], "PostgreSQL does not answer at BLOXTR8_POSTGRES__DSN."),
        (["provision", "--plan"], "Kafka does not answer at BLOXTR8_KAFKA__BOOTSTRAP."),
    ],
)
def test_what_cannot_be_reached_is_named(arguments: list[str], told: str) -> None:
    nowhere = {
        "BLOXTR8_POSTGRES__DSN": "postgresql://postgres@127.0.0.1:1/bloxtr8",
        "BLOXTR8_KAFKA__BOOTSTRAP": "127.0.0.1:1",
    }
    found = CliRunner(env=nowhere).invoke(main, arguments)
    assert found.exit_code == 1
    assert found.output.strip().splitlines()[-1] == f"Error: {told}"
