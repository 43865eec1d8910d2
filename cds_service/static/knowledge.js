// Narrows the tables to the rows that hold all the words, one source and one state of review.
"use strict";

(() => {
  const at = (id) => document.getElementById(id);
  const rows = [...document.querySelectorAll(".rows tbody tr")];
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  function narrow() {
    const words = at("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const [origin, review] = [at("origin").value, at("review").value];
    let shown = 0;
    for (const row of rows) {
      const fits = words.every((word) => texts.get(row).includes(word))
        && (!origin || row.dataset.origin === origin) && (!review || row.dataset.review === review);
      row.hidden = !fits;
      shown += fits;
    }
    for (const table of document.querySelectorAll(".wide")) {
      table.hidden = [...table.querySelectorAll("tbody tr")].every((row) => row.hidden);
    }
    for (const section of document.querySelectorAll("main section")) {
      section.hidden = [...section.querySelectorAll(".wide")].every((table) => table.hidden);
    }
    at("found").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} rows`;
  }

  for (const id of ["words", "origin", "review"]) at(id).addEventListener("input", narrow);
  document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
})();
