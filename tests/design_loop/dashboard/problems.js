// What is wrong with how a page looks: things that stick out, words too faint to read (WCAG 2 asks
// for 4.5 to 1), controls without a name. Run by the tests as the body of a function.
const found = [];
const wide = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > wide) found.push("the page scrolls sideways");

const rgb = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
const linear = (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const light = (colour) => {
  const [r, g, b] = colour.slice(0, 3).map((v) => linear(v / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const under = (part) => {
  for (; part; part = part.parentElement) {
    const colour = rgb(getComputedStyle(part).backgroundColor);
    if (colour.length === 3 || colour[3] > 0) return colour;
  }
  return [255, 255, 255];
};

const WORDS = "h1,h2,h3,p,a,li,td,th,dt,dd,span,small,b,label,button,summary,figcaption,code";
for (const part of document.querySelectorAll(WORDS)) {
  const box = part.getBoundingClientRect();
  const text = part.innerText;
  if (!box.width || !text || part.closest("[hidden],.skip")) continue;
  if (!part.closest(".scroll,.tabs,pre") && box.right > wide + 1) {
    found.push("sticks out: " + text.slice(0, 40));
  }
  const a = light(rgb(getComputedStyle(part).color)), b = light(under(part));
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  if (ratio < 4.5) found.push(`faint, ${ratio.toFixed(1)}: ` + text.slice(0, 40));
}

const CONTROLS = "input:not([type=hidden]),select,button,a,svg[role=img],progress,[tabindex]";
for (const part of document.querySelectorAll(CONTROLS)) {
  const label = part.labels && part.labels.length ? part.labels[0].innerText : "";
  const name = part.getAttribute("aria-label") || part.innerText || label;
  if (!name) found.push("has no name: " + part.outerHTML.slice(0, 80));
}
return [...new Set(found)];
