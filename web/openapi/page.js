"use strict";
(function () {
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const group of document.querySelectorAll("[data-group]")) {
      let shown = 0;
      for (const item of group.querySelectorAll("[data-route]")) {
        item.hidden = !words.every((word) => item.dataset.route.includes(word));
        shown += item.hidden ? 0 : 1;
      }
      group.hidden = shown === 0;
    }
  });

  function reveal() {
    const found = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (found instanceof HTMLDetailsElement) {
      found.open = true;
      found.scrollIntoView();
    }
  }
  addEventListener("hashchange", reveal);
  reveal();

  function address(form, headers) {
    let path = form.dataset.path;
    const query = new URLSearchParams();
    for (const field of form.querySelectorAll("[data-in]")) {
      if (field.dataset.in === "path") {
        path = path.replace(`{${field.name}}`, encodeURIComponent(field.value));
      } else if (field.value !== "" && field.dataset.in === "query") {
        query.set(field.name, field.value);
      } else if (field.value !== "") {
        headers.set(field.name, field.value);
      }
    }
    return query.size ? `${path}?${query}` : path;
  }

  async function send(form) {
    const output = form.querySelector("output");
    const headers = new Headers();
    const options = { method: form.dataset.method, headers, credentials: "omit" };
    const url = address(form, headers);
    const token = document.getElementById("bearer").value.trim();
    if (token) {
      headers.set("Authorization", `Bearer ${token}`);
    }
    if (form.elements.body) {
      headers.set("Content-Type", "application/json");
      options.body = form.elements.body.value;
    }
    output.textContent = "…";
    try {
      const answer = await fetch(url, options);
      const text = await answer.text();
      const shown = (answer.headers.get("Content-Type") || "").includes("json")
        ? JSON.stringify(JSON.parse(text), null, 2)
        : text.slice(0, 4000);
      output.textContent = `${answer.status} ${answer.statusText}\n${shown}`;
    } catch (error) {
      output.textContent = String(error);
    }
  }
  addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target.classList.contains("try")) {
      send(event.target);
    }
  });
})();
