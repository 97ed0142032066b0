// The Refunds tab of an order: loads the panel, and keeps its list fresh while a refund is open.
(function () {
  "use strict";
  const WAIT_OPEN_MS = 2000;
  const WAIT_MS = 5000;

  async function fetched(address) {
    const answer = await fetch(address, {
      headers: { "X-Requested-With": "XMLHttpRequest" },
      credentials: "same-origin",
    });
    // A session that ended answers with a page to sign in: what is shown stays.
    return answer.ok && !answer.redirected ? answer.text() : null;
  }

  async function refresh(list) {
    if (!document.hidden && list.offsetParent !== null) {
      try {
        const html = await fetched(list.dataset.refundryList);
        if (html !== null && html !== list.innerHTML) list.innerHTML = html;
      } catch {
        // Not reachable at the moment: the next turn asks again.
      }
    }
    const open = list.querySelector("[data-refundry-open='yes']") !== null;
    setTimeout(() => refresh(list), open ? WAIT_OPEN_MS : WAIT_MS);
  }

  function prepare(root) {
    for (const list of root.querySelectorAll("[data-refundry-list]")) {
      setTimeout(() => refresh(list), WAIT_OPEN_MS);
    }
    for (const form of root.querySelectorAll("[data-refundry-form]")) {
      const lines = form.querySelector("[data-refundry-lines]");
      const show = () => {
        lines.hidden = form.elements.kind.value !== "items";
      };
      form.addEventListener("change", show);
      // Filling in an amount chooses what it is of.
      form.addEventListener("input", (event) => {
        const kind = /^amount-(.+)$/.exec(event.target.name || "");
        if (kind) form.querySelector(`#kind-${kind[1]}`).checked = true;
        show();
      });
      show();
    }
  }

  async function load(panel) {
    if (panel.dataset.loaded) return;
    panel.dataset.loaded = "yes";
    try {
      const html = await fetched(panel.dataset.refundryPanel);
      if (html === null) return;
      panel.innerHTML = html;
      prepare(panel);
    } catch {
      delete panel.dataset.loaded;
    }
  }

  prepare(document);
  // The amounts are asked of Refundry only when somebody looks at them.
  window.jQuery(document).on("shown.bs.tab", (event) => {
    const pane = document.querySelector(event.target.getAttribute("href"));
    const panel = pane && pane.querySelector("[data-refundry-panel]");
    if (panel) load(panel);
  });
})();
