// Small comforts; every page works without them.
(() => {
  "use strict";
  document.documentElement.classList.add("js");

  const format = new Intl.DateTimeFormat(undefined, {
    weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hour12: false,
  });

  // Times that belong to no customer are shown in the viewer's zone; UTC stays in the title.
  function localTimes(root) {
    for (const time of root.querySelectorAll("time[data-local]")) {
      time.textContent = format.format(new Date(time.dateTime));
    }
  }

  // A filter that is a list is applied as soon as it is changed.
  function submitOnChange(event) {
    const form = event.target.closest?.("form[data-auto]");
    if (form && event.target.tagName === "SELECT") form.requestSubmit();
  }

  // What lies under the pointer in a grid of slots, in words below it.
  function readOut(event) {
    const cell = event.target.closest?.(".cells [data-t]");
    const line = cell?.closest(".slot-grid")?.querySelector(".read-out");
    if (line) line.textContent = cell.dataset.t;
  }

  function focusSearch(event) {
    if (!(event.ctrlKey || event.metaKey) || event.key.toLowerCase() !== "k") return;
    const field = document.querySelector("input[type=search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  }

  // The zone that the browser lives in is most people's answer.
  function offerZone() {
    const zone = new Intl.DateTimeFormat().resolvedOptions().timeZone;
    for (const field of document.querySelectorAll("input[data-zone]")) {
      if (!field.value && zone) field.value = zone;
    }
  }

  // One press is one request.
  function sendOnce(event) {
    const button = event.submitter;
    if (event.target.method === "post" && button) setTimeout(() => { button.disabled = true; });
  }

  document.addEventListener("DOMContentLoaded", () => localTimes(document));
  document.addEventListener("DOMContentLoaded", offerZone);
  document.addEventListener("htmx:after:swap", () => localTimes(document));
  document.addEventListener("change", submitOnChange);
  document.addEventListener("pointerover", readOut);
  document.addEventListener("keydown", focusSearch);
  document.addEventListener("submit", sendOnce);
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button:disabled")) button.disabled = false;
  });
})();
