"""What workers ask each other."""

from aiohttp import web

from bloxtr8.errors import NotFound
from web import peers
from web.call import Call
from web.routes import Reply, Route, Who


async def record(call: Call) -> Reply:
    """This worker's record of an escrow, for another worker that proves to be one."""
    escrow_id = call.parameter("escrow_id")
    header = call.request.headers.get(peers.HEADER, "")
    if not peers.is_proof(call.deps.tokens.keys, escrow_id, header, call.now):
        raise NotFound
    found = peers.local_record(call.deps, escrow_id)
    if found is None:
        raise NotFound
    body = found.SerializeToString()
    return Reply(web.Response(body=body, content_type="application/x-protobuf"))


ROUTES = (Route("GET", peers.PATH, record, Who.ANYONE, "A record, for other workers", None),)
