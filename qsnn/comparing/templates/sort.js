"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.querySelectorAll("th").forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[place].dataset.order;
      const known = [...body.rows].filter((row) => key(row) !== "");
      const unknown = [...body.rows].filter((row) => key(row) === "");
      known.sort((a, b) => (down ? -1 : 1) * (Number(key(a)) - Number(key(b))));
      body.append(...known, ...unknown);
    });
  });
}
