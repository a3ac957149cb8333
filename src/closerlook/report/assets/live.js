"use strict";
// Every five seconds the page is asked for again; what has changed takes the place of what is there.
const pause = 5000;
async function fill() {
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const next = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main");
    const now = document.querySelector("main");
    const open = [...now.querySelectorAll("details[open]")].map((one) => one.id);
    if (next && next.innerHTML !== now.dataset.seen) {
      const seen = next.innerHTML;
      now.replaceChildren(...next.childNodes);
      now.dataset.seen = seen;
      for (const id of open) if (id) document.getElementById(id)?.setAttribute("open", "");
    }
    document.getElementById("stand").textContent = "up to date";
  } catch (error) {
    document.getElementById("stand").textContent = "the server has stopped: this is the last that it said";
  }
  setTimeout(fill, pause);
}
setTimeout(fill, pause);
