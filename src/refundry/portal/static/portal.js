/* What the pages can do better with a script; each of them works without. */
"use strict";
(() => {
  const form = document.getElementById("refund-form");
  if (form) refundForm(form);
  document.querySelectorAll("[data-copy]").forEach(copyButton);
  const live = document.querySelector("[data-live]");
  if (live) follow(live);
  document.querySelectorAll("form[data-once]").forEach(sendOnce);
  document.querySelectorAll("[data-all-types]").forEach(allTypes);

  function refundForm(form) {
    const panel = document.getElementById("panel");
    let timer = 0, asked = null;
    form.querySelectorAll("[data-stepper]").forEach((stepper) => {
      const input = stepper.querySelector("input");
      if (input.readOnly) return;
      stepper.classList.add("live");
      stepper.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => {
        const next = Number(input.value || 0) + Number(button.dataset.step);
        input.value = String(Math.min(Math.max(next, 0), Number(input.max)));
        input.dispatchEvent(new Event("input", { bubbles: true }));
      }));
    });
    hideButton();
    form.addEventListener("input", (event) => {
      if (panel.contains(event.target)) return;
      panel.classList.add("busy");
      panel.querySelectorAll("#submit").forEach((button) => { button.disabled = true; });
      clearTimeout(timer);
      timer = setTimeout(preview, 250);
    });
    form.addEventListener("submit", (event) => {
      if (event.submitter && event.submitter.id === "submit") {
        const button = event.submitter;
        setTimeout(() => { button.disabled = true; });
        window.addEventListener("pageshow", () => { button.disabled = false; }, { once: true });
      }
    });
    async function preview() {
      if (asked) asked.abort();
      asked = new AbortController();
      try {
        const answer = await fetch(form.dataset.review, {
          method: "POST", body: new URLSearchParams(new FormData(form)), signal: asked.signal,
          headers: { "X-Part": "panel" }, credentials: "same-origin", redirect: "error",
        });
        if (!answer.ok) { location.reload(); return; }
        panel.innerHTML = await answer.text();
        panel.classList.remove("busy");
        hideButton();
      } catch (error) {
        if (error.name === "AbortError") return;
        panel.classList.remove("busy");
        panel.querySelectorAll("[data-without-script]").forEach((each) => { each.hidden = false; });
      }
    }
    function hideButton() {
      panel.querySelectorAll("[data-without-script]").forEach((each) => { each.hidden = true; });
    }
  }

  function copyButton(button) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
      button.textContent = "Copied";
    });
  }

  function sendOnce(form) {
    form.addEventListener("submit", () => {
      const buttons = form.querySelectorAll("button:not([type=button])");
      setTimeout(() => buttons.forEach((button) => { button.disabled = true; }));
      window.addEventListener("pageshow", () => buttons.forEach((button) => { button.disabled = false; }), { once: true });
    });
  }

  function allTypes(part) {
    const all = part.querySelector("[name=all]"), boxes = part.querySelectorAll("[name=types]");
    part.addEventListener("change", (event) => {
      if (event.target === all) boxes.forEach((box) => { box.checked = all.checked; });
      else all.checked = [...boxes].every((box) => box.checked);
    });
  }

  function follow(part) {
    const source = new EventSource(part.dataset.live);
    source.addEventListener("part", (event) => { part.innerHTML = event.data; });
    source.addEventListener("end", () => {
      source.close();
      if ("reload" in part.dataset) location.replace(location.pathname);
    });
  }
})();
