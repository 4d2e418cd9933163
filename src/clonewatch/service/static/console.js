// Theme, keys, and choosing rows. Every page works without this file, except for these.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;

  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (target?.closest("[data-theme-toggle]")) {
      root.dataset.theme = dark() ? "light" : "dark";
      document.cookie = `theme=${root.dataset.theme};path=/;max-age=31536000;samesite=lax`;
    }
    const asked = target?.closest("[data-confirm]");
    if (asked && !confirm(asked.dataset.confirm)) event.preventDefault();
  });

  // Rows that were chosen, for what is done to all of them; the bar shows only where there are some.
  const chosen = () => {
    for (const bar of document.querySelectorAll("[data-chosen-bar]")) {
      const boxes = [...document.querySelectorAll("[data-choose]")];
      const count = boxes.filter((box) => box.checked).length;
      bar.hidden = count === 0;
      for (const place of bar.querySelectorAll("[data-chosen-count]")) place.textContent = count;
    }
  };
  // Parts of a form that belong to one choice, or to several.
  const fitting = () => {
    for (const part of document.querySelectorAll("[data-when]")) {
      const [name, values] = part.dataset.when.split("=");
      const field = part.closest("form")?.elements.namedItem(name);
      if (field) part.hidden = !values.split(" ").includes(field.value);
    }
  };
  document.addEventListener("change", (event) => {
    const target = event.target;
    if (!(target instanceof HTMLElement)) return;
    if (target.matches("[data-choose-all]"))
      for (const box of document.querySelectorAll("[data-choose]")) box.checked = target.checked;
    if (target.matches("[data-choose], [data-choose-all]")) chosen();
    fitting();
  });
  const ready = () => {
    chosen();
    fitting();
  };
  document.addEventListener("DOMContentLoaded", ready);
  document.addEventListener("htmx:after:swap", ready);
  if (document.readyState !== "loading") ready();

  let before = "";
  document.addEventListener("keydown", (event) => {
    const inside = event.target instanceof Element && event.target.closest("input, textarea, select, [contenteditable]");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (inside) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const rows = [...document.querySelectorAll("[data-row]")];
    const at = rows.indexOf(document.activeElement?.closest("[data-row]"));
    const step = { j: 1, k: -1 }[event.key];
    if (step && rows.length) {
      const next = rows[Math.min(rows.length - 1, Math.max(0, at + step))];
      next.querySelector("a")?.focus();
      next.scrollIntoView({ block: "nearest" });
      event.preventDefault();
    } else if (event.key === "/") {
      const search = document.querySelector("[data-search]");
      if (search) {
        search.focus();
        event.preventDefault();
      }
    } else if (before === "g" && event.key === "q") {
      location.assign("/");
    }
    before = event.key;
  });
})();
