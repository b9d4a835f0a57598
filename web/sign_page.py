"""The page on which a contract is signed: what was agreed, an unticked box, one button."""

import json
from typing import Any

from aiohttp import web
from markupsafe import Markup

from web.contract_answers import ContractWithTerms
from web.html import document_page

_ROW = Markup("<tr><th scope=row>{}</th><td>{}</td></tr>")
_PAGE = Markup(
    "<table>{rows}</table><h2>Additional terms</h2><p class=said>{conditions}</p>"
    "<h2>Summary</h2><p class=said>{summary}</p><h2>Included</h2><p class=said>{included}</p>"
    '<p><a href="{pdf}">The whole document (PDF)</a></p>'
    "<form id=sign><p><label><input type=checkbox name=consent required>"
    " I have read this contract and sign it electronically.</label></p>"
    "<p>SHA-256 of the document: <code>{sha256}</code></p>"
    "<p><button>Sign</button></p></form><p id=outcome role=status></p>"
)
# The page's address and what it sends are data: nothing in the script varies but its parameters.
_SCRIPT = """
const b8 = %s;
const form = document.getElementById('sign'), outcome = document.getElementById('outcome');
form.addEventListener('submit', async (event) => {
  event.preventDefault();
  form.querySelector('button').disabled = true;
  outcome.textContent = 'Signing …';
  try {
    const answer = await fetch(b8.action, {
      method: 'POST',
      headers: {'Content-Type': 'application/json', 'X-CSRF-Token': b8.csrf},
      body: JSON.stringify({document_sha256: b8.sha256, consent: true, token: b8.token}),
    });
    const said = await answer.json();
    if (answer.ok) {
      form.remove();
      outcome.textContent = said.status === 'EXECUTED'
        ? 'Both have signed: the contract is in force.'
        : 'Signed. The other side has not signed yet.';
      return;
    }
    outcome.textContent = said.detail + ' (' + said.code + ')';
  } catch (error) {
    outcome.textContent = 'That did not get through. Try again.';
  }
  form.querySelector('button').disabled = false;
});
"""


def sign_page(shown: ContractWithTerms, side: str, token: str, csrf: str) -> web.Response:
    """Return the page for the party on `side` of a contract that may be signed."""
    sha256 = shown.document_sha256
    assert sha256 is not None, "the document is made"
    terms = shown.terms
    parameters = {
        "action": f"/api/v1/contracts/{shown.id}/sign",
        "csrf": csrf,
        "sha256": sha256,
        "token": token,
    }
    body = _PAGE.format(
        rows=Markup("").join(_ROW.format(*row) for row in _facts(shown, side)),
        conditions=terms["conditions"] or "None",
        summary=terms["asset"]["summary"],
        included=terms["asset"]["included_assets"],
        pdf=f"/api/v1/contracts/{shown.id}/pdf",
        sha256=sha256,
    )
    # Nothing in it can end the script: none of these values has a "<", and this makes sure.
    script = _SCRIPT % json.dumps(parameters).replace("<", "\\u003c")
    return document_page(f"Sign contract {shown.ref}", body, script)


def _facts(shown: ContractWithTerms, side: str) -> list[tuple[str, Any]]:
    terms, costs = shown.terms, shown.costs
    mine = shown.buyer if side == "BUYER" else shown.seller
    until = shown.sign_deadline_at
    assert until is not None, "the document is made"
    return [
        ("You sign as", f"{mine.display_name} ({side.lower()})"),
        ("Seller", shown.seller.display_name),
        ("Buyer", shown.buyer.display_name),
        ("Experience", f"{terms['experience']['name']} ({terms['experience']['universe_id']})"),
        ("Listing", f"{terms['asset']['title']} ({terms['listing']['ref']})"),
        ("Price", f"{shown.price.decimal} {shown.price.currency}"),
        ("The buyer pays in all", f"{costs.buyer_pays.decimal} {costs.buyer_pays.currency}"),
        (
            "The seller receives",
            f"{costs.seller_receives.decimal} {costs.seller_receives.currency}",
        ),
        ("Delivery within", f"{shown.delivery_days} days"),
        ("Sign until", f"{until:%Y-%m-%d %H:%M} UTC"),
    ]
