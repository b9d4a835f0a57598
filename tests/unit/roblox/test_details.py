"""Addresses that people paste, pictures that may be shown."""

import pytest

from bloxtr8.roblox.api import _game, _picture, _universe, id_of
from bloxtr8.roblox.details import place_of


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://www.roblox.com/games/123/Some-Game", 123),
        ("https://roblox.com/games/123", 123),
        ("https://web.roblox.com/de/games/123/x?a=b#c", 123),
        ("http://www.roblox.com/games/123", None),
        ("https://www.roblox.com.evil.example/games/123", None),
        ("https://evil.example/games/123", None),
        ("https://www.roblox.com@evil.example/games/123", None),
        ("https://www.roblox.com/games/", None),
        ("https://www.roblox.com/catalog/123", None),
        ("https://www.roblox.com/games/12a", None),
        ("https://[::1/games/1", None),
        ("", None),
    ],
)
def test_places_in_addresses(url: str, place: int | None) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1", 1),
        ("9" * 18, 10**18 - 1),
        ("0", None),
        ("9" * 19, None),
        ("-1", None),
        ("\u0661", None),
    ],
)
def test_ids(text: str, found: int | None) -> None:
    assert id_of(text) == found


@pytest.mark.parametrize(
    ("state", "url", "shown"),
    [
        ("Completed", "https://tr.rbxcdn.com/a.png", True),
        ("Pending", "https://tr.rbxcdn.com/a.png", False),
        ("Completed", "http://tr.rbxcdn.com/a.png", False),
        ("Completed", "https://evil.example/a.png?.rbxcdn.com", False),
        ("Completed", "https://rbxcdn.com.evil.example/a.png", False),
        ("Completed", "https://u@tr.rbxcdn.com/a.png", False),
        ("Completed", "https://tr.rbxcdn.com:444/a.png", False),
        ("Completed", None, False),
    ],
)
def test_only_finished_pictures_of_robloxs_own_host(
    state: str, url: str | None, shown: bool
) -> None:
    assert (_picture({"state": state, "imageUrl": url}) is not None) is shown


def test_what_is_longer_or_larger_than_it_can_be_is_cut_or_unknown() -> None:
    creator = {"id": 1, "type": "User", "name": "x"}
    game = _game(
        {"id": 7, "creator": creator, "genre_l1": "g" * 500, "maxPlayers": 2**31, "visits": 2**40}
    )
    assert (game.genre, game.max_players, game.visits) == ("g" * 60, None, 2**40)
    universe = _universe(7, {"user": "users/1", "visibility": "V" * 100})
    assert universe.visibility == "V" * 20


def test_a_description_keeps_its_lines_and_nothing_that_misleads() -> None:
    said = "One\r\ntwo\tthree \u202eevil\u200b\x00\ud83d\n"
    universe = _universe(7, {"user": "users/1", "description": said})
    assert universe.description == "One\ntwo three evil"
