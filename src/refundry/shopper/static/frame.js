/* Inside the frame of the element: tells the merchant's page how far the form is and how tall it is.
   What is typed never leaves the frame but to its own server. */
"use strict";
(() => {
  if (window.parent === window) return;
  const STYLES = ["backgroundColor", "color", "fontFamily", "fontSize", "fontStyle", "fontVariant", "fontWeight",
    "letterSpacing", "lineHeight", "padding", "textAlign", "textDecoration", "textShadow", "textTransform"];
  // Nothing here is secret, and whose page it is we cannot know.
  const tell = (what) => window.parent.postMessage({ refundry: "offlinerefund", ...what }, "*");
  const height = () => tell({ height: Math.ceil(document.documentElement.getBoundingClientRect().height) });
  const fields = [...document.querySelectorAll("#bank-details input:not([type=hidden]), #bank-details select")];
  let styles = {};

  function dress(field) {
    const chosen = { ...styles.base };
    if (!field.value) Object.assign(chosen, styles.empty);
    else if (field.checkValidity()) Object.assign(chosen, styles.complete);
    if (field === document.activeElement) Object.assign(chosen, styles.focus);
    for (const name of STYLES) field.style[name] = typeof chosen[name] === "string" ? chosen[name] : "";
  }
  for (const field of fields)
    for (const kind of ["focus", "blur", "input"]) field.addEventListener(kind, () => dress(field));

  window.addEventListener("message", (event) => {
    if (event.source !== window.parent || !event.data || event.data.refundry !== "offlinerefund") return;
    styles = event.data.style || {};
    fields.forEach(dress);
    height();
  });
  const form = document.getElementById("bank-details");
  if (form) form.addEventListener("submit", () => setTimeout(() => { document.getElementById("submit").disabled = true; }));
  new ResizeObserver(height).observe(document.body);
  tell({ state: document.body.dataset.state });
  height();
})();
