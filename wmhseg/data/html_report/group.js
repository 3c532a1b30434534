"use strict";
// Sorts the table of scans by a column, and shows those whose names hold some letters.
(() => {
  const table = document.getElementById("scans");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];

  function value(row, column) {
    const words = row.cells[column].textContent.trim();
    return words === "n/a" ? "" : words;
  }

  function sort(column) {
    const head = heads[column];
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const order = new Intl.Collator("en", { numeric: true });
    const compare = (a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      // What is not known comes last, whichever way.
      if (x === "" || y === "") return (x === "") - (y === "");
      const numbers = Number(x) - Number(y);
      return (up ? 1 : -1) * (Number.isNaN(numbers) ? order.compare(x, y) : numbers);
    };
    body.append(...[...body.rows].sort(compare));
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });

  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const row of body.rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
    }
  });
})();
