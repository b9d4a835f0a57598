"""Bodies of controls under /sandbox that several stand-ins take, and reading them."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bloxtr8.sandbox.faults import Fault

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)


class Body(BaseModel):
    """A control's body."""

    model_config = ConfigDict(extra="forbid")


class FaultOrder(Body):
    route: str
    fault: Fault
    times: int = 1
    seconds: float = 15.0
    code: str = ""


class WebhookOrder(Body):
    copies: Annotated[int, Field(ge=1, le=20)] = 1
    shuffle: bool = False
    hold: bool = False
    drop: bool = False


async def read(request: web.Request, model: type[Model]) -> Model:
    """Return a control's body; raises ValidationError."""
    return model.model_validate_json(await request.read() or b"{}")
