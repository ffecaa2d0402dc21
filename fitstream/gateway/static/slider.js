// Turns a strip of links into a slider; without it the links serve. The range chooses, the link goes.
(() => {
  "use strict";

  function slide(strip) {
    const links = [...strip.querySelectorAll("ol a[href]")];
    const at = links.findIndex((link) => link.getAttribute("aria-current") === "true");
    if (links.length < 2 || at < 0) return;
    const field = document.createElement("input");
    const said = document.createElement("output");
    field.type = "range";
    field.min = "0";
    field.max = String(links.length - 1);
    field.value = String(at);
    field.setAttribute("aria-label", strip.dataset.strip);
    const tell = () => {
      said.textContent = links[Number(field.value)].textContent.trim();
      field.setAttribute("aria-valuetext", said.textContent);
    };
    field.addEventListener("input", tell);
    field.addEventListener("change", () => { location.href = links[Number(field.value)].href; });
    tell();
    strip.classList.add("slides");
    strip.prepend(field, said);
  }

  document.querySelectorAll("[data-strip]").forEach(slide);
})();
