// Brings the 3D viewers of a page to life: host atoms as a framework, defects marked.
// Vacancies are translucent spheres, substitutions large spheres with their name.
"use strict";
(() => {
  const FRAME_MS = 50, TILT = 52, ROOM = 72;

  function colour(root, swatch) {
    const key = root.querySelector(`.legend .${swatch}`);
    return key ? hex(getComputedStyle(key).backgroundColor) : "#888888";
  }

  // 3Dmol reads #rrggbb; browsers give rgb(r, g, b).
  function hex(value) {
    const parts = value.match(/\d+(\.\d+)?/g) || ["136", "136", "136"];
    return "#" + parts.slice(0, 3).map((p) => Math.round(p).toString(16).padStart(2, "0")).join("");
  }

  function place(atom) {
    return { x: atom[1], y: atom[2], z: atom[3] };
  }

  class Viewer {
    constructor(root) {
      this.root = root;
      this.canvas = root.querySelector(".canvas");
      this.data = JSON.parse(root.querySelector("script").textContent);
      this.labels = true;
      this.spinning = null;
      this.view = window.$3Dmol.createViewer(this.canvas, { disableFog: true });
      if (!this.view) throw new Error("no WebGL");
      this.view.setProjection("orthographic");
      this.current = this.data.candidates[0];
      root.querySelectorAll("[data-do]").forEach((part) => {
        const event = part.tagName === "SELECT" ? "change" : "click";
        part.addEventListener(event, () => this.act(part.dataset.do, part));
      });
      this.canvas.addEventListener("keydown", (event) => this.key(event));
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      addEventListener("resize", () => { this.view.resize(); this.view.render(); });
      this.draw();
      this.reset();
      root.dataset.state = "ready";
    }

    draw() {
      const view = this.view, data = this.data;
      const text = getComputedStyle(document.body);
      view.removeAllModels(); view.removeAllShapes(); view.removeAllLabels();
      view.setBackgroundColor(hex(text.backgroundColor), 1);
      const changed = new Map(this.current.defects.map((d) => [d[0], d]));
      const atoms = [], index = new Map();
      data.atoms.forEach((atom, site) => {
        if (changed.has(site)) return;
        index.set(site, atoms.length);
        atoms.push({ elem: atom[0], ...place(atom), color: colour(this.root, atom[4]),
          bonds: [], bondOrder: [], serial: site });
      });
      for (const [i, j] of data.bonds) {
        if (!index.has(i) || !index.has(j)) continue;
        atoms[index.get(i)].bonds.push(index.get(j)); atoms[index.get(i)].bondOrder.push(1);
        atoms[index.get(j)].bonds.push(index.get(i)); atoms[index.get(j)].bondOrder.push(1);
      }
      const model = view.addModel();
      model.addAtoms(atoms);
      view.setStyle({}, { stick: { radius: 0.09 }, sphere: { radius: 0.42 } });
      this.cell();
      for (const [site, element, words, swatch] of this.current.defects) {
        const center = place(data.atoms[site]), paint = colour(this.root, swatch);
        const size = element === null ? { radius: 0.95, alpha: 0.45 } : { radius: 0.8 };
        view.addSphere({ center, color: paint, ...size });
        if (this.labels) {
          view.addLabel(words.replace(/_(.+)$/, "($1)"), { position: center, inFront: true,
            fontSize: 12, alignment: "centerLeft", screenOffset: { x: 13, y: 13 }, fontColor: hex(text.color), borderThickness: 0,
            backgroundColor: hex(text.backgroundColor), backgroundOpacity: 0.65 });
        }
      }
      this.canvas.setAttribute("aria-label", `3D view of ${this.current.title}`);
      view.render();
    }

    cell() {
      const [a, b, c] = this.data.cell, grey = hex(getComputedStyle(this.root).borderTopColor);
      const corner = (i, j) => ({ x: i * a[0] + j * b[0], y: i * a[1] + j * b[1], z: i * a[2] + j * b[2] });
      const height = this.data.atoms.reduce((sum, atom) => sum + atom[3], 0) / this.data.atoms.length;
      const level = (p) => ({ ...p, z: height });
      [[0, 0, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 0, 0]].forEach(([i, j, k, l]) =>
        this.view.addLine({ start: level(corner(i, j)), end: level(corner(k, l)), color: grey }));
    }

    reset() {
      this.turned(-TILT);
    }

    // From above, then turned about the x axis, as large as the canvas allows: `zoomTo` fits a
    // ball around a flat crystal, which wastes most of the canvas.
    turned(degrees) {
      this.view.setView([0, 0, 0, 0, 0, 0, 0, 1]);
      this.view.zoomTo();
      this.view.rotate(degrees, "x");
      this.view.render();
      const places = this.data.atoms.map((atom) => this.view.modelToScreen(place(atom)));
      const span = (k) => Math.max(...places.map((p) => p[k])) - Math.min(...places.map((p) => p[k]));
      const { clientWidth: w, clientHeight: h } = this.canvas;
      this.view.zoom(Math.min((w - ROOM) / span("x"), (h - ROOM) / Math.max(span("y"), 1)));
      this.view.render();
    }

    act(what, part) {
      if (what === "reset") this.reset();
      if (what === "above") this.turned(0);
      if (what === "side") this.turned(-90);
      if (what === "labels") { this.labels = !this.labels; this.press(part, this.labels); this.draw(); }
      if (what === "spin") { this.spin(!this.spinning); this.press(part, !!this.spinning); }
      if (what === "choose") this.choose(part.value);
    }

    choose(key) {
      this.current = this.data.candidates.find((c) => c.key === key) || this.current;
      this.draw();
    }

    press(part, on) {
      part.setAttribute("aria-pressed", String(on));
    }

    spin(on) {
      clearInterval(this.spinning);
      this.spinning = on ? setInterval(() => { this.view.rotate(1, "y"); this.view.render(); }, FRAME_MS) : null;
    }

    key(event) {
      const turns = { ArrowLeft: [-8, "y"], ArrowRight: [8, "y"], ArrowUp: [-8, "x"], ArrowDown: [8, "x"] };
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key in turns) this.view.rotate(...turns[event.key]);
      else if (event.key === "+" || event.key === "=") this.view.zoom(1.15);
      else if (event.key === "-" || event.key === "−") this.view.zoom(1 / 1.15);
      else if (event.key === "0") this.reset();
      else return;
      event.preventDefault();
      this.view.render();
    }
  }

  function start(root) {
    try {
      return new Viewer(root);
    } catch (error) {
      root.dataset.state = "failed";
      const canvas = root.querySelector(".canvas");
      canvas.textContent = "No 3D here: this browser has no WebGL. The drawing shows the same.";
      canvas.classList.remove("canvas");
      return null;
    }
  }

  document.querySelectorAll(".viewer").forEach(start);
})();
