// Keeps a page up to date: asks for the live part, and for the rest when the campaign has moved on.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  if (!live) return;
  const body = document.querySelector("[data-refresh]");
  const note = document.getElementById("connection");
  let stamp = live.dataset.stamp, timer = null, failures = 0, asking = false;

  async function ask(url) {
    const answer = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin" });
    if (answer.status === 401) { location.reload(); return null; }
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  // What the reader unfolded stays unfolded; where the reader is with the keyboard, nothing changes.
  async function refresh() {
    if (!body || body.contains(document.activeElement)) return false;
    const open = [...body.querySelectorAll("details")].map((part) => part.open);
    const found = await ask(body.dataset.refresh);
    if (!found) return false;
    body.innerHTML = found.html;
    body.querySelectorAll("details").forEach((part, i) => { part.open = !!open[i]; });
    return true;
  }

  async function tick() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    let wait = 5;
    try {
      const found = await ask(live.dataset.live);
      if (found) {
        wait = found.wait_s;
        live.innerHTML = found.html;
        if (found.stamp !== stamp && (await refresh())) stamp = found.stamp;
      }
      failures = 0;
    } catch (error) {
      failures += 1;
      wait = Math.min(2 ** failures, 60);
    }
    if (note) note.hidden = failures < 2;
    live.dataset.asked = String(Number(live.dataset.asked || 0) + 1);
    asking = false;
    if (!document.hidden) timer = setTimeout(tick, 1000 * wait);
  }

  document.addEventListener("visibilitychange", () => { if (!document.hidden) tick(); });
  timer = setTimeout(tick, 1000 * Number(live.dataset.wait || 2));
})();
