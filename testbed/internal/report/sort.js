// A click on a column's head, or Enter or Space on it, sorts the rows by that column; again, the other way round.
// A cell's data-key goes before its text. Numbers sort by value, what is unknown (an empty key) stays last, and rows that
// compare equal keep their order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
      const rows = [...body.rows].map(row => {
        const cell = row.cells[column], key = (cell.dataset.key ?? cell.textContent).trim();
        return {row, key, value: Number(key)};
      });
      const numbers = rows.every(r => r.key === "" || !Number.isNaN(r.value));
      rows.sort((a, b) => {
        if (a.key === "" || b.key === "") return (a.key === "") - (b.key === "");
        if (!numbers) return sign * a.key.localeCompare(b.key, undefined, {numeric: true});
        return a.value === b.value ? 0 : sign * (a.value < b.value ? -1 : 1);
      });
      body.append(...rows.map(r => r.row));
    };
  });
}
