// The page of the film: what is chosen, what follows from it, and the address that says it.
const run = new FilmRun(document);
const { meta } = run;
const $ = (id) => document.getElementById(id);
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
const START = { t: run.snapshots - 1, picture: "joint", colour: "label", query: "", words: false, show: "all", alone: false, hidden: new Set(), selected: -1, two: false };
const NAMED = 24; // labels with a colour of their own: eight colours in three shapes, the commonest first

const counts = new Uint32Array(meta.labels.length);
meta.gold.forEach((label) => { counts[label] += 1; });
const ranked = [...meta.labels.keys()].sort((a, b) => counts[b] - counts[a] || a - b);
const rankOf = new Map(ranked.map((label, rank) => [label, rank]));

const page = {
  state: { ...START, hidden: new Set() },
  panes: [],
  texts: null,
  run,
  kept: new Map(),

  get snapshot() { return Math.round(this.state.t); },
  views(of) { if (!this.kept.has(of)) this.kept.set(of, new Map()); return this.kept.get(of); },
  selected(of) { return of === run ? this.state.selected : -1; },

  // Which examples of a pane match what is searched and chosen.
  matcher(pane) {
    const { hidden, show, query, words } = this.state;
    const { told, answers } = pane;
    const { n } = pane.run;
    const gold = pane.run.meta.gold;
    const tests = [];
    if (hidden.size) tests.push((i) => !hidden.has(gold[i]));
    if (query && this.found) tests.push((i) => this.found[i]);
    const at = { wrong: (i, s) => answers && answers[s * n + i] !== NO_LABEL && answers[s * n + i] !== gold[i],
      right: (i, s) => answers && answers[s * n + i] === gold[i],
      changed: (i) => answers && this.changes(answers, n, i) > 0,
      near: (i, s) => told.other[s * n + i] < told.self[s * n + i],
      probe: (i, s) => told.hits[s * n + i] === 0,
      witness: (i, s) => told.witness[s * n + i] > 0 }[show];
    if (at) tests.push(at);
    return (i, s) => tests.every((test) => test(i, s));
  },

  changes(answers, n, i) {
    let [before, changed] = [NO_LABEL, 0];
    for (let s = 0; s < run.snapshots; s++) {
      const answer = answers[s * n + i];
      if (answer === NO_LABEL) continue;
      if (before !== NO_LABEL && answer !== before) changed += 1;
      before = answer;
    }
    return changed;
  },

  // Colour and shape of each example.
  style(pane) {
    const palette = meta.palette.map(rgb);
    const grey = rgb(colourOf("--unknown"));
    const { told, answers } = pane;
    const { n } = pane.run;
    const { gold } = pane.run.meta;
    const ofLabel = (label) => {
      const rank = rankOf.get(label);
      return rank < NAMED ? { colour: palette[rank % 8], shape: Math.floor(rank / 8) } : { colour: grey, shape: 0 };
    };
    const plain = (colour) => ({ colour, shape: 0 });
    const kept = told[this.state.picture];
    const of = {
      label: (i) => ofLabel(gold[i]),
      answer: (i, s) => (answers && answers[s * n + i] !== NO_LABEL ? ofLabel(answers[s * n + i]) : plain(grey)),
      right: (i, s) => (answers && answers[s * n + i] !== NO_LABEL ? plain(palette[answers[s * n + i] === gold[i] ? 0 : 1]) : plain(grey)),
      nearest: (i, s) => (told.nearest[s * n + i] === NO_LABEL ? plain(grey) : ofLabel(told.nearest[s * n + i])),
      split: (i) => plain(palette[pane.run.splitOf[i] % 8]),
      kept: (i, s) => (kept[s * n + i] === UNKNOWN ? plain(grey) : plain(scaled(kept[s * n + i] / meta.k))),
    }[this.state.colour];
    return { of, faint: grey };
  },

  async change(how = () => {}) {
    how();
    this.search();
    await Promise.all(this.shownPanes().map((pane) => pane.show()));
    this.follow();
  },

  shownPanes() { return this.panes.filter((pane) => !pane.root.hidden); },
  restyle() { this.shownPanes().forEach((pane) => pane.restyle()); this.follow(); },
  redraw() { this.shownPanes().forEach((pane) => pane.draw()); },
  moved() { this.redraw(); later("address", 250, () => this.write()); },

  search() {
    const { query, words } = this.state;
    this.found = null;
    if (!query || !this.texts) return;
    const wanted = query.toLowerCase();
    const { texts } = this;
    this.found = texts.ids.map((id, i) => (words ? markedWords(texts, i).toLowerCase().includes(wanted)
      : texts.lower[texts.where[i][0]].includes(wanted) || id.toLowerCase() === wanted));
  },

  // Everything that says in words what is seen: for screen readers, and for those who want numbers.
  follow() {
    const pane = this.panes[0];
    if (!pane.matched) return;
    const { t, show } = this.state;
    const at = meta.snapshots[this.snapshot];
    $("time").value = t;
    const between = Math.abs(t - this.snapshot) > 0.01;
    $("moment").textContent = between ? `between epochs ${round(meta.snapshots[Math.floor(t)].epoch)} and ${round(meta.snapshots[Math.ceil(t)].epoch)}`
      : `epoch ${round(at.epoch)} (update ${counted(at.step)})`;
    $("time").setAttribute("aria-valuetext", `epoch ${round(at.epoch)}, snapshot ${this.snapshot + 1} of ${run.snapshots}`);
    if (this.playing) return;
    const of = run.n === pane.run.n ? run.n : pane.run.n;
    $("status").textContent = `${counted(pane.matched.length)} of ${counted(of)} examples match, layer ${pane.layer}, `
      + `epoch ${round(at.epoch)}${show === "all" ? "" : ` (${$("show").selectedOptions[0].textContent})`}.`;
    later("table", 120, () => { this.table(); this.details(); });
    later("address", 250, () => this.write());
  },

  // Those that match, the ones that stand nearest to another label first.
  table() {
    const pane = this.panes[0];
    if (!this.texts || !pane.told) return;
    const at = this.snapshot * run.n;
    const doubt = (i) => pane.told.self[at + i] / Math.max(pane.told.other[at + i], 1);
    const first = [...pane.matched].sort((a, b) => doubt(b) - doubt(a)).slice(0, 60);
    $("rows").replaceChildren(...first.map((i) => {
      const button = element("button", markedText(this.texts, i, 90), { type: "button" });
      button.addEventListener("click", () => this.select(run, i, true));
      const answer = pane.answers ? pane.answers[at + i] : NO_LABEL;
      const cells = [button, name(meta.gold[i]), name(answer), name(pane.told.nearest[at + i]), doubt(i).toFixed(2)];
      const row = element("tr", cells.map((cell) => element("td", cell)));
      row.classList.toggle("wrong", answer !== NO_LABEL && answer !== meta.gold[i]);
      return row;
    }));
    $("listed").textContent = first.length < pane.matched.length ? `The first ${first.length} of ${counted(pane.matched.length)}.` : "";
  },

  // The chosen example: text, labels, and a line a snapshot.
  details() {
    const pane = this.panes[0];
    const i = this.state.selected;
    $("chosen").hidden = i < 0 || !this.texts || !pane.told;
    if ($("chosen").hidden) return;
    const { told, answers } = pane;
    $("text").replaceChildren(...markedText(this.texts, i));
    $("facts").textContent = `${meta.splits[run.splitOf[i]].name}, label ${name(meta.gold[i])}, id ${this.texts.ids[i]}`;
    $("course").replaceChildren(...meta.snapshots.map(({ epoch }, s) => {
      const at = s * run.n + i;
      const answer = answers ? answers[at] : NO_LABEL;
      const kept = told[this.state.picture][at];
      const near = (level) => (level === UNKNOWN ? "-" : (level * told.unit).toPrecision(2));
      const probe = { 0: "wrong", 1: "right" }[told.hits[at]] || "-";
      const cells = [round(epoch), name(answer), probe, name(told.nearest[at]), near(told.other[at]), near(told.self[at]),
        kept === UNKNOWN ? "-" : `${kept} of ${meta.k}`, ...(meta.witnesses ? [told.witness[at] || "-"] : [])];
      const row = element("tr", cells.map((cell) => element("td", String(cell))));
      row.classList.toggle("now", s === this.snapshot);
      row.classList.toggle("wrong", answer !== NO_LABEL && answer !== meta.gold[i]);
      return row;
    }));
    $("course-layer").textContent = `Layer ${pane.layer}`;
  },

  select(of, i, scroll = false) {
    if (of !== run) return;
    this.state.selected = i;
    this.redraw();
    this.details();
    this.write();
    if (scroll) $("panes").scrollIntoView({ block: "nearest" });
  },

  // What is under the pointer, in a box beside it.
  tell(pane, tip, i) {
    tip.hidden = i < 0 || !this.texts;
    if (tip.hidden) return;
    const [x, y] = pane.place(i, this.state.t);
    const at = this.snapshot * pane.run.n + i;
    const answer = pane.answers ? pane.answers[at] : NO_LABEL;
    const lines = [element("b", name(pane.run.meta.gold[i])), element("span", answer === NO_LABEL ? "" : ` tuned head says ${name(answer)}`),
      element("p", markedText(pane.run === run ? this.texts : pane.texts, i, 160)),
      element("small", `nearest other label: ${name(pane.told.nearest[at])}, at ${(pane.told.other[at] * pane.told.unit).toPrecision(2)}; own: ${(pane.told.self[at] * pane.told.unit).toPrecision(2)}`)];
    tip.replaceChildren(...lines);
    tip.style.left = `${Math.min(Math.max(x - 130, 4), Math.max(pane.width - 264, 4))}px`;
    tip.style.top = y > pane.height / 2 ? "auto" : `${y + 14}px`;
    tip.style.bottom = y > pane.height / 2 ? `${pane.height - y + 14}px` : "auto";
  },

  to(t) {
    const before = this.snapshot;
    this.state.t = Math.min(Math.max(t, 0), run.snapshots - 1);
    const still = ["label", "split"].includes(this.state.colour) && ["all", "changed"].includes(this.state.show);
    if (this.snapshot !== before && !still) this.shownPanes().forEach((pane) => pane.restyle());
    else this.redraw();
    if (this.snapshot !== before && still) this.shownPanes().forEach((pane) => pane.caption());
    this.follow();
  },

  play() {
    if (run.snapshots < 2) return;
    this.playing = !this.playing;
    $("play").textContent = this.playing ? "Pause" : "Play";
    if (!this.playing) { this.to(this.snapshot); return; }
    if (this.state.t > run.snapshots - 1.01) this.to(0);
    const each = Math.min(1100, 14000 / run.snapshots);
    let before = performance.now();
    let waited = 0;
    const step = (now) => {
      if (!this.playing) return;
      const part = (now - before) / each;
      before = now;
      if (calm.matches) { // no movement: from snapshot to snapshot
        waited += part;
        if (waited >= 1) { waited = 0; this.to(this.snapshot + 1); }
      } else this.to(this.state.t + part);
      if (this.state.t >= run.snapshots - 1) { this.play(); return; }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  },

  write() {
    const { t, picture, colour, query, words, show, alone, hidden, selected, two } = this.state;
    const [first, second] = this.panes;
    const split = (pane) => (pane.split < 0 ? "all" : meta.splits[pane.split].name);
    const says = { layer: first.layer, split: split(first), epoch: round(meta.snapshots[this.snapshot].epoch), picture, colour, show };
    if (query) says.text = query;
    if (words) says.words = 1;
    if (alone) says.alone = 1;
    if (hidden.size) says.labels = [...meta.labels.keys()].filter((label) => !hidden.has(label)).map((label) => encodeURIComponent(meta.labels[label])).join(",");
    if (selected >= 0 && this.texts) says.example = this.texts.ids[selected];
    if (two) Object.assign(says, { layer2: second.layer, split2: split(second) });
    if (first.positions) says.view = [first.view.x, first.view.y, first.view.zoom / (first.parts.stage.clientWidth || 1)].map((v) => Number(v.toPrecision(5))).join(",");
    this.address = `#${new URLSearchParams(says)}`;
    if (location.hash !== this.address) history.replaceState(null, "", this.address);
  },

  // The state that an address says; what it does not say, or says wrongly, stays as at the start.
  async read() {
    const says = new URLSearchParams(location.hash.slice(1));
    const state = Object.assign(this.state, { ...START, hidden: new Set() });
    const one = (name, allowed, otherwise) => (allowed.includes(says.get(name)) ? says.get(name) : otherwise);
    const values = (id) => [...$(id).options].map(({ value }) => value);
    for (const name of ["picture", "colour", "show"]) state[name] = one(name, values(name), START[name]);
    state.query = says.get("text") || "";
    state.words = says.has("words");
    state.alone = says.has("alone");
    state.two = says.has("layer2");
    const epoch = Number(says.get("epoch") ?? NaN);
    if (!Number.isNaN(epoch)) state.t = closest(meta.snapshots.map((one) => one.epoch), epoch);
    if (says.has("labels")) {
      const wanted = new Set(says.get("labels").split(",").map((label) => { try { return decodeURIComponent(label); } catch { return label; } }));
      state.hidden = new Set([...meta.labels.keys()].filter((label) => !wanted.has(meta.labels[label])));
    }
    this.panes.forEach((pane, k) => {
      const layer = Number(one(k ? "layer2" : "layer", meta.layers.map(String), k ? meta.layers[0] : meta.layers.at(-1)));
      const split = meta.splits.findIndex(({ name }) => name === says.get(k ? "split2" : "split"));
      Object.assign(pane, { layer, split: meta.splits.length > 1 ? split : 0 });
    });
    this.texts = await run.texts();
    const ids = says.has("example") ? this.texts.ids.indexOf(says.get("example")) : -1;
    state.selected = ids;
    this.controls();
    await this.change();
    const view = (says.get("view") || "").split(",").map(Number);
    if (view.length === 3 && view.every(Number.isFinite) && view[2] > 0) {
      Object.assign(this.panes[0].view, { x: view[0], y: view[1], zoom: view[2] * this.panes[0].parts.stage.clientWidth });
      this.redraw();
    }
  },

  // Puts the state into the controls.
  controls() {
    for (const name of ["picture", "colour", "show"]) $(name).value = this.state[name];
    $("query").value = this.state.query;
    $("words").checked = this.state.words;
    $("alone").checked = this.state.alone;
    $("two").setAttribute("aria-pressed", this.state.two);
    this.panes[1].root.hidden = !this.state.two;
    $("panes").classList.toggle("two", this.state.two);
    document.querySelectorAll("#legend input").forEach((box) => { box.checked = !this.state.hidden.has(Number(box.value)); });
  },
};

const name = (label) => (label === NO_LABEL ? "-" : meta.labels[label]);
const round = (epoch) => Number(epoch.toFixed(2));
const closest = (values, wanted) => values.reduce((best, value, k) => (Math.abs(value - wanted) < Math.abs(values[best] - wanted) ? k : best), 0);
const timers = {};
const later = (key, wait, does) => { clearTimeout(timers[key]); timers[key] = setTimeout(does, wait); };

function legend() {
  const palette = meta.palette;
  $("legend").replaceChildren(...ranked.filter((label) => counts[label]).map((label) => {
    const rank = rankOf.get(label);
    const box = element("input", "", { type: "checkbox", checked: true, value: label });
    const dot = element("i", "", { className: `dot shape-${rank < NAMED ? Math.floor(rank / 8) : 0}` });
    dot.style.color = rank < NAMED ? palette[rank % 8] : "var(--unknown)";
    const only = element("button", "only", { type: "button", className: "only", ariaLabel: `only ${meta.labels[label]}` });
    const change = (how) => { how(page.state.hidden); page.controls(); page.restyle(); };
    box.addEventListener("change", () => change((hidden) => (box.checked ? hidden.delete(label) : hidden.add(label))));
    only.addEventListener("click", () => change((hidden) => { ranked.forEach((one) => hidden.add(one)); hidden.delete(label); }));
    return element("li", [element("label", [box, dot, element("span", meta.labels[label]), element("small", counted(counts[label]))]), only]);
  }));
}

function listen() {
  for (const id of ["picture", "colour", "show"]) $(id).addEventListener("change", () => page.change(() => { page.state[id] = $(id).value; }));
  for (const id of ["words", "alone"]) $(id).addEventListener("change", () => page.change(() => { page.state[id] = $(id).checked; }));
  $("query").addEventListener("input", () => later("query", 120, () => page.change(() => { page.state.query = $("query").value.trim(); })));
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("time").addEventListener("input", () => { if (page.playing) page.play(); page.to(Number($("time").value)); });
  $("time").addEventListener("change", () => page.to(page.snapshot));
  $("play").addEventListener("click", () => page.play());
  $("fit").addEventListener("click", () => page.shownPanes().forEach((pane) => pane.fit(0)));
  $("now").addEventListener("click", () => page.shownPanes().forEach((pane) => pane.fit(0.004, page.snapshot)));
  $("two").addEventListener("click", () => page.change(() => { page.state.two = !page.state.two; page.controls(); }));
  $("every").addEventListener("click", () => { page.state.hidden.clear(); page.controls(); page.restyle(); });
  $("reset").addEventListener("click", () => { history.replaceState(null, "", "#"); page.kept.clear(); page.read(); });
  $("link").addEventListener("click", async () => {
    page.write();
    try { await navigator.clipboard.writeText(location.href); $("link").textContent = "Copied"; } catch { $("link").textContent = "It is in the address bar"; }
    later("copied", 2000, () => { $("link").textContent = "Copy link to this view"; });
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input:not([type=range]), select, textarea, button, a") || event.ctrlKey || event.metaKey || event.altKey) return;
    const to = { ArrowRight: () => page.to(Math.floor(page.state.t + 1.001)), ArrowLeft: () => page.to(Math.ceil(page.state.t - 1.001)),
      " ": () => page.play(), Home: () => page.to(0), End: () => page.to(run.snapshots - 1), Escape: () => page.select(run, -1) }[event.key];
    if (!to) return;
    event.preventDefault();
    if (event.key !== " " && page.playing) page.play();
    to();
  });
  window.addEventListener("hashchange", () => { if (location.hash !== page.address) page.read(); });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => page.restyle());
}

(async () => {
  page.panes = [...document.querySelectorAll(".pane")].map((root) => new Pane(root, run, page));
  $("time").max = run.snapshots - 1;
  $("marks").replaceChildren(...meta.snapshots.map(({ epoch }, s) => element("option", "", { value: s, label: round(epoch) })));
  document.querySelectorAll("[data-needs]").forEach((option) => { if (!meta[option.dataset.needs]) option.tagName === "OPTION" ? option.remove() : (option.hidden = true); });
  legend();
  listen();
  await page.read();
  document.body.dataset.drawn = "1";
})();
