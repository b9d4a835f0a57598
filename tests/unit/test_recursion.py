"""Deeply nested input is refused, whatever libraries a worker has loaded; it never ends it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_PROGRAM = """
import json, sys
before = sys.getrecursionlimit()
import app
from bloxtr8.payments.usdc.wallet_proofs import signer_of, ProofInvalid
from eth_account import Account
from eth_account.messages import encode_defunct
key = Account.from_key("0x" + "11" * 32)
signature = key.sign_message(encode_defunct(text="text")).signature.hex()
assert signer_of("text", signature) == key.address.lower()
assert sys.getrecursionlimit() == before, sys.getrecursionlimit()
try:
    json.loads("[" * 200_000)
except RecursionError:
    print("refused")
"""


def test_a_worker_refuses_what_is_nested_too_deep() -> None:
    command = [sys.executable, "-c", _PROGRAM]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "refused"), ended.stderr[-500:]
