"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const root = document.documentElement;

  // Light or dark: as the system says, until somebody chooses.
  const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const toggle = document.getElementById("theme");
  const named = () => { toggle.textContent = dark() ? "Light" : "Dark"; };
  try { root.dataset.theme = localStorage.getItem("sterna-theme") || ""; } catch { /* a file without storage */ }
  toggle.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("sterna-theme", root.dataset.theme); } catch { /* as above */ }
    named();
  });
  named();

  // The report itself, for other programs.
  document.getElementById("save").addEventListener("click", () => {
    const text = document.getElementById("report-json").textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = "report.json";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  // Tables that sort: numbers by data-sort, all else as text.
  const key = (row, column) => {
    const cell = row.children[column];
    const given = cell.dataset.sort;
    return given === undefined ? cell.textContent.trim() : given === "" ? -Infinity : Number(given);
  };
  for (const head of all("table.sortable thead th")) {
    const button = head.querySelector("button");
    if (!button) continue;
    button.addEventListener("click", () => {
      const body = head.closest("table").tBodies[0];
      const column = [...head.parentNode.children].indexOf(head);
      const first = head.dataset.first || "descending";
      const other = first === "descending" ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      for (const each of head.parentNode.children) each.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].map((row, n) => [key(row, column), n, row]);
      rows.sort(([a, m], [b, n]) => (a < b ? -sign : a > b ? sign : m - n));
      body.append(...rows.map(([, , row]) => row));
    });
  }

  // A box, its streams, its rows and what is known of it belong together.
  const hint = document.getElementById("hint");
  const show = (number) => {
    for (const each of all(".marked")) each.classList.remove("marked");
    for (const each of all(".detail")) each.hidden = each.id !== `detail-${number}`;
    hint.hidden = number !== undefined;
    if (number === undefined) return;
    for (const each of all(`[data-node="${number}"]`)) each.classList.add("marked");
    for (const each of all(`[data-from="${number}"],[data-to="${number}"]`)) each.classList.add("marked");
  };
  for (const each of all("[data-node]")) {
    each.addEventListener("pointerenter", () => show(each.dataset.node));
    each.addEventListener("focusin", () => show(each.dataset.node));
  }
})();
