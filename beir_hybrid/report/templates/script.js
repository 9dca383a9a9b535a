"use strict";
const each = (root, selector, act) => root.querySelectorAll(selector).forEach(act);
const page = document.documentElement;

/* switch the theme: light, dark, or that of the system */
each(document, ".theme", (button) => {
  const themes = ["auto", "light", "dark"];
  const show = () => { button.textContent = `Theme: ${page.dataset.theme || "auto"}`; };
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(page.dataset.theme || "auto") + 1) % themes.length];
    if (next === "auto") delete page.dataset.theme; else page.dataset.theme = next;
    try { localStorage.setItem("beir-hybrid-theme", next); } catch { /* lasts for this page only */ }
    show();
  });
  show();
  button.hidden = false;
});

/* copy a block of commands */
const copyText = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const block = document.createElement("pre");
    block.textContent = text;
    document.body.append(block);
    getSelection().selectAllChildren(block);
    document.execCommand("copy");
    block.remove();
  }
};
const showCopied = (button) => {
  const label = button.dataset.label ??= button.textContent;
  button.style.minWidth = `${button.offsetWidth}px`; /* so that nothing moves */
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = label; }, 2000);
};
each(document, ".copy", (button) => {
  button.addEventListener("click", async () => {
    await copyText(document.getElementById(button.dataset.text).textContent);
    showCopied(button);
  });
  button.hidden = false;
});

each(document, ".controls, .controls-needed", (area) => { area.hidden = false; });
/* choose the measure of a model's page */
each(document, "#measure", (select) => select.addEventListener("input", () => {
  each(document, ".measured", (part) => { part.hidden = part.dataset.measure !== select.value; });
}));
const statusLine = document.getElementById("status");
const make = (name, attributes = {}, ...children) => {
  const isDrawn = ["svg", "g", "line", "circle", "path", "text", "title", "rect"].includes(name);
  const element = isDrawn
    ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
