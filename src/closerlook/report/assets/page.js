"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const selects = [...document.querySelectorAll("select[data-choice]")];
  const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"] };
  const narrow = () => window.innerWidth < 640;

  const chosen = (name) => {
    const select = selects.find((s) => s.dataset.choice === name);
    return select ? select.value : { layer: "", split: "train" }[name];
  };
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The page carries the titles as captions, and its colours follow the reader's light or dark setting.
  function dressed(figure) {
    const layout = structuredClone(figure.layout);
    layout.font = { ...layout.font, color: colour("--ink") };
    layout.hoverlabel = { ...layout.hoverlabel, bgcolor: colour("--panel"), bordercolor: colour("--rule"),
      font: { color: colour("--ink") } };
    layout.modebar = { bgcolor: "rgba(0,0,0,0)", color: colour("--soft"), activecolor: colour("--link") };
    const title = layout.title && layout.title.text;
    delete layout.title;
    layout.margin = { ...layout.margin, t: Math.max((layout.margin.t || 56) - 28, 24) };
    if (narrow() && !layout.meta) layout.margin = { ...layout.margin, l: Math.min(layout.margin.l, 48) };
    return { data: structuredClone(figure.data), layout, title };
  }

  async function draw(plot) {
    const by = plot.dataset.by ? plot.dataset.by.split(",") : [];
    const figure = figures[plot.dataset.slot][by.map(chosen).join("|")];
    const holder = plot.closest("figure");
    const caption = holder.querySelector("figcaption");
    if (!figure) {
      Plotly.purge(plot);
      caption.textContent = "Not measured at this layer and split";
      return;
    }
    const { data, layout, title } = dressed(figure);
    // Titles are escaped for plotly; a parser that runs nothing turns them back into text.
    caption.textContent = new DOMParser().parseFromString(title || "", "text/html").documentElement.textContent;
    plot.setAttribute("aria-label", caption.textContent);
    await Plotly.react(plot, data, layout, config);
  }

  const plots = [...document.querySelectorAll(".plot")];
  async function drawAll(wanted) {
    for (const plot of plots.filter(wanted)) {
      await draw(plot);
      await new Promise((done) => setTimeout(done, 0)); // let the page breathe between figures
    }
    document.body.dataset.drawn = String(plots.length);
  }

  function showTables() {
    const label = `${chosen("layer")}|${chosen("split")}`;
    document.querySelectorAll("tbody[data-choice], div[data-choice]").forEach((body) => { body.hidden = body.dataset.choice !== label; });
    document.querySelectorAll("tbody[data-split]").forEach((body) => { body.hidden = body.dataset.split !== chosen("split"); });
  }

  // A box that hides a part of its content says so: it fades at that edge, can be reached with the keyboard, and a
  // table has a line of text above it.
  function markScrolling(box) {
    const hidden = box.scrollWidth - box.clientWidth;
    const more = [box.scrollLeft > 2 && "left", box.scrollLeft < hidden - 2 && "right"].filter(Boolean).join(" ");
    box.dataset.more = more;
    if (hidden > 2) box.tabIndex = 0;
    if (box.tagName !== "DIV") return;
    let hint = box.previousElementSibling;
    if (!hint || !hint.classList.contains("scrolls")) {
      hint = Object.assign(document.createElement("p"), { className: "scrolls", textContent: "Scrolls sideways \u2194" });
      box.before(hint);
    }
    hint.hidden = hidden <= 2;
  }
  const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => markScrolling(target.closest(".scroll"))));
  document.querySelectorAll(".scroll").forEach((box) => {
    box.addEventListener("scroll", () => markScrolling(box), { passive: true });
    [box, ...box.children].forEach((part) => watcher.observe(part));
  });

  const parse = (cell, text) => {
    if (text) return cell.textContent.toLowerCase();
    const number = parseFloat(cell.textContent.replaceAll(",", ""));
    return Number.isNaN(number) ? null : number;
  };

  function sortBy(header) {
    const table = header.closest("table");
    const column = [...header.parentNode.children].indexOf(header);
    const down = header.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
    const text = header.dataset.type === "text";
    for (const body of table.tBodies) {
      const rows = [...body.rows].map((row) => [parse(row.cells[column], text), row]);
      rows.sort(([a], [b]) => {
        if (a === null || b === null) return (a === null) - (b === null); // missing values stay last
        return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
      });
      body.append(...rows.map(([, row]) => row));
    }
  }

  document.querySelectorAll(".sortable th").forEach((header) => {
    header.addEventListener("click", () => sortBy(header));
    header.addEventListener("keydown", (event) => { if (event.key === "Enter") sortBy(header); });
  });
  selects.forEach((select) => select.addEventListener("change", () => {
    showTables();
    drawAll((plot) => plot.dataset.by.split(",").includes(select.dataset.choice));
  }));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll(() => true));
  showTables();
  drawAll(() => true);
})();
