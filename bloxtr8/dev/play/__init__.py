"""People and their trades as the demo and the end-to-end tests play them."""

from bloxtr8.dev.play.api import Api, ApiProblem
from bloxtr8.dev.play.people import People, Person
from bloxtr8.dev.play.stage import Stage
from bloxtr8.dev.play.trade import Trade

__all__ = ["Api", "ApiProblem", "People", "Person", "Stage", "Trade"]
