/* Shows Refundry's form for bank details in a merchant's page: in a frame of Refundry's own, so that
   the page never sees what is typed. */
"use strict";
(() => {
  const origin = new URL(document.currentScript.src).origin;
  const TYPE = "offlinerefund";
  const EXPIRED = { type: "validation_error", code: "refund_token_expired", message: "The refund token is no longer valid." };

  function failure(code, message) {
    return Object.assign(new Error(`${code}: ${message}`), { type: "validation_error", code });
  }

  class OfflineRefund {
    #options; #lang; #listeners = { ready: [], change: [] };
    #container = null; #frame = null; #destroyed = false; #ready = false; #hear = (event) => this.#heard(event);

    constructor(options, lang) {
      this.#options = options;
      this.#lang = lang;
    }

    on(name, listener) {
      if (!(name in this.#listeners)) throw failure("invalid_parameter", `'${name}' is not an event of this element.`);
      this.#listeners[name].push(listener);
      return this;
    }

    mount(id) {
      if (this.#destroyed) throw failure("invalid_state", "The element was destroyed.");
      const container = typeof id === "string" ? document.getElementById(id.replace(/^#/, "")) : id;
      if (!container) throw failure("invalid_parameter", `There is no element with the id '${id}'.`);
      this.unmount();
      const frame = document.createElement("iframe");
      const lang = this.#lang ? `?lang=${encodeURIComponent(this.#lang)}` : "";
      frame.src = `${origin}/offline-refund/${encodeURIComponent(this.#options.refundToken)}/element${lang}`;
      frame.title = "Bank details";
      frame.referrerPolicy = "no-referrer";
      frame.style.cssText = "border: 0; width: 100%; height: 320px; display: block; color-scheme: normal;";
      this.#container = container;
      this.#frame = frame;
      this.#ready = false;
      window.addEventListener("message", this.#hear);
      this.#mark("base");
      container.append(frame);
      return this;
    }

    unmount() {
      window.removeEventListener("message", this.#hear);
      if (!this.#frame) return;
      this.#frame.remove();
      for (const name of ["base", "complete", "invalid"]) this.#container.classList.remove(...this.#classes(name));
      this.#frame = this.#container = null;
    }

    destroy() {
      this.unmount();
      this.#destroyed = true;
    }

    #heard(event) {
      if (!this.#frame || event.source !== this.#frame.contentWindow || event.origin !== origin) return;
      const told = event.data;
      if (!told || told.refundry !== TYPE) return;
      if (typeof told.height === "number") this.#frame.style.height = `${told.height}px`;
      if (typeof told.state === "string") this.#state(told.state);
    }

    #state(state) {
      this.#frame.contentWindow.postMessage({ refundry: TYPE, style: this.#options.style || {} }, origin);
      for (const name of ["complete", "invalid"]) this.#container.classList.remove(...this.#classes(name));
      if (state === "done") {
        this.#mark("complete");
        this.#tell("change", { complete: true, empty: false, elementType: TYPE, error: null });
      } else if (state === "dead") {
        this.#mark("invalid");
        this.#tell("change", { complete: false, empty: true, elementType: TYPE, error: { ...EXPIRED } });
      } else if (state === "form" || state === "invalid") {
        if (state === "invalid") this.#mark("invalid");
        if (this.#ready) return;
        this.#ready = true;
        this.#tell("ready", { elementType: TYPE });
      }
    }

    #classes(name) {
      const given = (this.#options.classes || {})[name];
      return typeof given === "string" ? given.split(/\s+/).filter(Boolean) : [];
    }

    #mark(name) {
      this.#container.classList.add(...this.#classes(name));
    }

    #tell(name, event) {
      for (const listener of [...this.#listeners[name]]) listener(event);
    }
  }

  window.DigitalRiver = class DigitalRiver {
    #lang;

    constructor(key, options = {}) {
      if (typeof key !== "string" || !key) throw failure("missing_parameter", "A public key is missing.");
      this.#lang = options.locale || "";
    }

    createElement(name, options = {}) {
      if (String(name).toLowerCase() !== TYPE) throw failure("invalid_parameter", `'${name}' is not an element.`);
      if (!options.refundToken) throw failure("missing_parameter", "refundToken is missing.");
      return new OfflineRefund(options, this.#lang);
    }
  };
})();
