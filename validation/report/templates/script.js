"use strict";
(() => {
  const severity = { disagrees: 0, missing: 1, inconclusive: 2, better: 3, agrees: 4 };
  const collator = new Intl.Collator("en", { numeric: true });
  const numeric = new Set(["reference", "candidate", "difference", "digits", "scaled", "tolerance"]);
  const toNumber = (shown) => (shown === "" || shown === null ? NaN : Number(String(shown).replace(/Inf$/, "Infinity")));

  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  // The rows are deflated JSON in base64; a browser that cannot read it shows the first rows.
  const read = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
    return JSON.parse(await text);
  };

  const start = async (box) => {
    const data = await read(box.querySelector('script[type="text/plain"]').textContent.trim());
    const body = box.querySelector("tbody"), remarks = box.querySelector('[data-key="remark"]');
    const status = box.querySelector(".status");
    const search = box.querySelector('input[type="search"]');
    const byVerdict = box.querySelector(".by-verdict");
    const byQuantity = box.querySelector(".by-quantity");
    const size = box.querySelector(".size");
    const previous = box.querySelector(".previous");
    const next = box.querySelector(".next");
    const everything = Array.from(data.verdict.keys()), total = everything.length;
    const text = everything.map((i) => `${data.quantity[i]} ${data.place[i]} ${data.verdict[i]}`.toLowerCase());
    let sortKey = null, ascending = true, page = 0, chosen = everything;

    const compare = (a, b) => {
      if (sortKey === "verdict") return severity[data.verdict[a]] - severity[data.verdict[b]];
      if (!numeric.has(sortKey)) return collator.compare(data[sortKey][a], data[sortKey][b]);
      return toNumber(data[sortKey][a]) - toNumber(data[sortKey][b]);
    };
    const choose = () => {
      const wanted = search.value.trim().toLowerCase();
      chosen = everything.filter((i) =>
        (!byVerdict.value || data.verdict[i] === byVerdict.value) &&
        (!byQuantity.value || data.quantity[i] === byQuantity.value) && (!wanted || text[i].includes(wanted)));
      if (sortKey) {
        const absent = (i) => numeric.has(sortKey) && Number.isNaN(toNumber(data[sortKey][i]));
        const there = chosen.filter((i) => !absent(i)), gone = chosen.filter(absent);
        there.sort((a, b) => (ascending ? 1 : -1) * compare(a, b) || a - b);
        chosen = there.concat(gone);  // rows without a number stay last, whichever way one sorts
      }
      page = 0;
      draw();
    };
    const row = (i) => {
      const verdict = data.verdict[i];
      const tr = element("tr", `row-${verdict}`);
      const first = element("td"), badge = element("span", `badge verdict-${verdict}`), mark = element("span", "", data.symbols[verdict]);
      mark.setAttribute("aria-hidden", "true");
      badge.append(mark, ` ${verdict}`);
      first.append(badge);
      const place = element("th", "place", data.place[i]);
      place.scope = "row";
      const number = (name) => element("td", "number", data[name][i]);
      tr.append(first, element("td", "check", data.check[i]), element("td", "quantity", data.quantity[i]), place,
        number("reference"), number("candidate"), number("difference"), number("digits"), number("scaled"),
        element("td", "number", data.limit[i]));
      if (remarks) tr.append(element("td", "reason", data.remark[i]));
      return tr;
    };
    const draw = () => {
      const rows = Number(size.value), from = page * rows, shown = chosen.slice(from, from + rows);
      body.replaceChildren(...shown.map(row));
      const count = (n) => n.toLocaleString("en");
      const of = chosen.length === total ? `${count(total)} rows` : `${count(chosen.length)} matching rows (of ${count(total)})`;
      status.textContent = chosen.length ? `Rows ${count(from + 1)} to ${count(from + shown.length)} of ${of}` : `No row matches (of ${count(total)})`;
      previous.disabled = page === 0;
      next.disabled = from + rows >= chosen.length;
    };

    for (const th of box.querySelectorAll("thead th")) {
      const button = element("button", "", th.textContent), arrow = element("span", "arrow", "");
      button.type = "button";
      arrow.setAttribute("aria-hidden", "true");
      button.append(arrow);
      th.replaceChildren(button);
      th.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        ascending = sortKey === th.dataset.key ? !ascending : true;
        sortKey = th.dataset.key;
        for (const other of box.querySelectorAll("thead th")) {
          other.setAttribute("aria-sort", other === th ? (ascending ? "ascending" : "descending") : "none");
          other.querySelector(".arrow").textContent = other === th ? (ascending ? "▴" : "▾") : "";
        }
        choose();
      });
    }
    search.addEventListener("input", choose);
    byVerdict.addEventListener("change", choose);
    byQuantity.addEventListener("change", choose);
    size.addEventListener("change", () => { page = 0; draw(); });
    previous.addEventListener("click", () => { page -= 1; draw(); });
    next.addEventListener("click", () => { page += 1; draw(); });
    const form = box.querySelector(".controls");
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    box.querySelector(".buttons").hidden = false;
    draw();
  };
  document.querySelectorAll(".rows[data-table]").forEach(start);

  // On paper nothing can be unfolded; summaries of several pages stay folded.
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = Array.from(document.querySelectorAll("details:not([open]):not(.long)"));
    for (const one of folded) one.open = true;
  });
  window.addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
})();
