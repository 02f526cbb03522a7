"use strict";
(() => {
  const body = document.querySelector("#rows > tbody");
  const rows = [...body.children];
  const links = [...document.querySelectorAll("#shows a")];
  const word = document.querySelector("#word");
  const decision = document.querySelector("#decision");
  const order = document.querySelector("#order");
  const heads = [...document.querySelectorAll("#rows > thead th[data-sort]")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const wanted = () => new URLSearchParams(location.hash.slice(1)).get("show") || "all";

  const filter = () => {
    const show = wanted();
    const words = word.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    for (const row of rows) {
      const kinds = row.dataset.kinds.split(" ");
      const fits = (show === "all" || kinds.includes(show))
        && (!decision.value || row.dataset.decision === decision.value)
        && words.every((w) => texts.get(row).includes(w));
      row.hidden = !fits;
      left += fits;
    }
    for (const link of links) link.setAttribute("aria-current", String(link.dataset.show === show));
    document.querySelector("#left").textContent = `${left} of ${rows.length} shown`;
    document.querySelector("#none").hidden = left > 0;
  };

  const sort = (key, way) => {
    const number = key !== "name";
    const value = (row) => (number ? Number(row.dataset[key]) : row.dataset[key]);
    const compare = (a, b) => (number ? value(a) - value(b) : value(a).localeCompare(value(b)));
    rows.sort((a, b) => way * compare(a, b) || a.dataset.rank - b.dataset.rank);
    body.append(...rows);
    for (const head of heads) {
      if (head.dataset.sort === key) head.setAttribute("aria-sort", way > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  };

  for (const head of heads) {
    head.querySelector("button").addEventListener("click", () => {
      const first = head.dataset.first === "down" ? -1 : 1;
      const now = head.getAttribute("aria-sort");
      const way = now === null ? first : now === "ascending" ? -1 : 1;
      sort(head.dataset.sort, way);
    });
  }
  order.addEventListener("change", () => {
    const [key, way] = order.value.split(" ");
    sort(key, Number(way));
  });
  word.addEventListener("input", filter);
  decision.addEventListener("change", filter);
  window.addEventListener("hashchange", filter);
  document.querySelector("#tools").hidden = false;
  document.querySelector("#shows").hidden = false;
  filter();
})();
