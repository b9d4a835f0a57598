"""The local chain as any node is: JSON-RPC to the letter, limits, faults, and its controls."""

from typing import Any

import aiohttp
import pytest
from web3 import AsyncHTTPProvider, AsyncWeb3

from bloxtr8.payments.usdc.chain import ChainUnavailable, Rejected
from bloxtr8.sandbox.chain import LocalChain
from bloxtr8.sandbox.chain import wallets as people
from bloxtr8.sandbox.chain.evm import Refused
from bloxtr8.sandbox.chain.ledger import Fate
from bloxtr8.sandbox.chain.rpc import LOG_BLOCKS_MAX
from bloxtr8.sandbox.faults import Fault, FaultRule
from tests.integration.usdc.world import USDC, World

BOB = people.named("bob").address


async def post(url: str, body: Any) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        return response.status, await response.json()


async def call(local: LocalChain, method: str, *params: Any) -> Any:
    _, answer = await post(
        local.rpc_url, {"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)}
    )
    assert answer["id"] == 7
    return answer.get("result", answer.get("error"))


async def test_web3_understands_every_method(local: LocalChain) -> None:
    provider = AsyncHTTPProvider(local.rpc_url)
    eth = AsyncWeb3(provider).eth
    sent = local.bank.pay("ann", people.USDC, BOB, 5 * USDC)
    assert await eth.chain_id == local.chain.chain_id
    assert await eth.block_number == 3
    block = await eth.get_block("latest", full_transactions=True)
    full: Any = block["transactions"][0]
    assert full["hash"] == sent
    assert (await eth.get_block(bytes(block["hash"])))["number"] == 3  # type: ignore[arg-type]
    receipt = await eth.get_transaction_receipt(sent)  # type: ignore[arg-type]
    assert (receipt["status"], len(receipt["logs"])) == (1, 1)
    transaction = await eth.get_transaction(sent)  # type: ignore[arg-type]
    assert transaction["blockNumber"] == 3
    assert await eth.get_transaction_count(people.named("ann").address) == 1
    assert await eth.get_balance(people.named("ann").address) > 0
    assert (await eth.fee_history(2, "latest", [50]))["oldestBlock"] == 2
    assert await eth.gas_price > 0
    assert await eth.syncing is False
    asked = {"to": people.USDC.hex, "data": "0x313ce567"}
    assert await call(local, "eth_call", asked, "latest") == "0x" + "00" * 31 + "06"
    assert int(await call(local, "eth_estimateGas", asked), 16) > 21_000
    assert await call(local, "net_version") == str(local.chain.chain_id)
    await provider.disconnect()


async def test_tags_name_the_blocks_that_they_should(local: LocalChain) -> None:
    local.chain.mine(30)
    numbers = [
        int((await call(local, "eth_getBlockByNumber", tag, False))["number"], 16)
        for tag in ("earliest", "finalized", "safe", "latest")
    ]
    assert numbers == [0, 30 - local.chain.finality_depth, 30 - local.chain.safe_depth, 30]
    assert await call(local, "eth_getBlockByNumber", hex(31), False) is None


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("eth_flyToTheMoon", [], -32601),
        ("eth_getBalance", [], -32602),
        ("eth_getBalance", ["0x12", "latest"], -32602),
        ("eth_getTransactionReceipt", ["0x12"], -32602),
        ("eth_getLogs", ["x"], -32602),
        ("eth_getLogs", [{"fromBlock": "0x0", "topics": "x"}], -32602),
        ("eth_sendRawTransaction", ["0x02abcd"], -32000),
        ("eth_call", [{"to": "0x" + "00" * 19}], -32602),
        ("eth_call", [{"to": people.USDC.hex, "data": "0xdeadbeef"}], 3),
    ],
)
async def test_mistakes_have_their_codes(
    local: LocalChain, method: str, params: list[Any], code: int
) -> None:
    assert (await call(local, method, *params))["code"] == code


@pytest.mark.parametrize("body", [7, "x", None, [], {}, {"method": 1}, [1, 2]])
async def test_nonsense_is_answered(local: LocalChain, body: Any) -> None:
    status, answer = await post(local.rpc_url, body)
    assert status == 200
    answers = answer if isinstance(answer, list) else [answer]
    assert all("error" in entry for entry in answers)


async def test_batches_and_log_limits(local: LocalChain) -> None:
    asked = [{"id": n, "method": "eth_blockNumber", "params": []} for n in range(3)]
    _, answers = await post(local.rpc_url, asked)
    assert [entry["id"] for entry in answers] == [0, 1, 2]
    local.chain.mine(LOG_BLOCKS_MAX)
    local.chain.mine(1)
    found = await call(local, "eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
    assert found["code"] == -32005


async def test_logs_by_address_topic_and_block(local: LocalChain) -> None:
    local.bank.pay("ann", people.USDC, BOB, USDC)
    local.bank.pay("ann", people.OTHER, BOB, USDC)
    topics = ["0x" + people.word(people.raw(BOB)).hex()]
    wanted: dict[str, Any] = {"fromBlock": "0x0", "topics": [None, None, topics]}
    assert len(await call(local, "eth_getLogs", wanted)) == 2
    wanted["address"] = people.USDC.hex
    (log,) = await call(local, "eth_getLogs", wanted)
    assert int(log["data"], 16) == USDC
    wanted["toBlock"] = hex(int(log["blockNumber"], 16) - 1)
    assert await call(local, "eth_getLogs", wanted) == []


async def test_pool_replaces_only_for_a_better_offer(local: LocalChain, world: World) -> None:
    world.fund_hot()
    local.chain.auto_mine = False
    ann = people.named("ann")
    local.bank.give_gas(ann.address, 10**18)
    local.chain.mine(1)

    def offer(wei: int) -> bytes:
        signed = ann.sign_transaction(
            {
                "type": 2,
                "chainId": local.chain.chain_id,
                "nonce": 0,
                "to": BOB,
                "value": 1,
                "gas": 21_000,
                "maxFeePerGas": wei,
                "maxPriorityFeePerGas": wei,
                "data": b"",
            }
        )
        return bytes(signed.raw_transaction)

    await world.chain.send(offer(10**9))
    # Known already, and that is no refusal.
    await world.chain.send(offer(10**9))
    with pytest.raises(Rejected, match="underpriced"):
        await world.chain.send(offer(10**9 + 1))
    await world.chain.send(offer(11 * 10**8))
    local.chain.mine(1)
    with pytest.raises(Rejected, match="nonce too low"):
        await world.chain.send(offer(5 * 10**9))


@pytest.mark.parametrize("fate", list(Fate))
def test_reorganisation_changes_hashes_and_nothing_below(fate: Fate) -> None:
    chain = LocalChain()
    sent = chain.bank.pay("ann", people.USDC, BOB, USDC)
    chain.chain.mine(5)
    before = [chain.chain.block(number) for number in range(9)]
    chain.chain.reorganise(6, fate)
    after = [chain.chain.block(number) for number in range(9)]
    assert before[:3] == after[:3]
    assert all(old is None or old != new for old, new in zip(before[3:], after[3:], strict=True))
    for number in range(1, 10):
        block, parent = chain.chain.block(number), chain.chain.block(number - 1)
        assert block is not None
        assert parent is not None
        assert block.parent_hash == parent.hash
    assert (chain.chain.find(sent) is not None) == (fate is Fate.KEEP)
    assert bool(chain.chain.waiting) == (fate is Fate.WAIT)


def test_limits_of_the_chain(monkeypatch: pytest.MonkeyPatch) -> None:
    local = LocalChain()
    with pytest.raises(Refused):
        local.chain.reorganise(1)
    with pytest.raises(Refused):
        local.chain.mine(0)
    monkeypatch.setattr("bloxtr8.sandbox.chain.ledger.BLOCKS_MAX", 5)
    with pytest.raises(Refused):
        local.chain.mine(10)


# The controls.


async def test_controls_do_what_they_say(local: LocalChain) -> None:
    url = local.control_url
    _, paid = await post(f"{url}/pay", {"wallet": "carl", "to": BOB, "amount_minor": 5})
    assert paid["from"] == people.named("carl").address
    assert (await call(local, "eth_getTransactionReceipt", paid["transaction"]))["status"] == "0x1"
    _, given = await post(f"{url}/faucet", {"to": BOB, "amount_minor": 7, "wei": 9})
    assert len(given["transactions"]) == 2
    assert await call(local, "eth_getBalance", BOB, "latest") == "0x9"
    _, mined = await post(f"{url}/mine", {"blocks": 4})
    _, state = await post(f"{url}/ways", {"paused": True, "finality_depth": 3})
    assert (state["head"], state["paused"], state["finality_depth"]) == (mined["head"], True, 3)
    await post(f"{url}/reorg", {"depth": 2, "transactions": "drop"})
    await post(f"{url}/lies", {"lag": 3})
    assert int(await call(local, "eth_blockNumber"), 16) == local.chain.head.number - 3
    await post(f"{url}/blacklist", {"address": BOB})
    _, signed = await post(f"{url}/wallets/carl/sign", {"text": "hello"})
    assert len(signed["signature"]) == 132
    for path, body in (
        ("pay", {}),
        ("mine", {"blocks": 0}),
        ("reorg", {"depth": 65}),
        ("lies", []),
    ):
        assert (await post(f"{url}/{path}", body))[0] == 400


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.DELAY])
async def test_a_node_that_fails_is_silent_for_us(world: World, fault: Fault) -> None:
    world.local.faults.add(FaultRule("RPC *", fault, seconds=1.2))
    with pytest.raises(ChainUnavailable):
        await world.chain.latest()
    assert (await world.chain.latest()).number == 0


async def test_a_chain_mines_by_itself() -> None:
    local = LocalChain(block_seconds=0.02)
    await local.start()
    world = World(local)
    head = await world.chain.latest()
    async with aiohttp.ClientSession() as session:
        while head.number < 3:
            async with session.get(f"{local.control_url}/state") as response:
                assert response.status == 200
            head = await world.chain.latest()
    assert head.number >= 3
    await world.close()
    await local.stop()
