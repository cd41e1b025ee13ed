// A list that may have thousands of items: found by words, and shown a page at a time, so that the page stays quick.

import { element, write } from "./dom.js";

export class Pager {
  /** parts: {filter, count, pager} elements; noun: what is counted; changed: called when a person asks for other items. */
  constructor({ filter, count, pager, size, noun, changed }) {
    Object.assign(this, { filter, count, size, noun, page: 0 });
    const button = (text, label, by) => {
      const made = element("button", { type: "button", "aria-label": label }, text);
      made.addEventListener("click", () => {
        this.page += by;
        changed();
      });
      return made;
    };
    this.back = button("‹", `previous ${noun}`, -1);
    this.on = button("›", `next ${noun}`, 1);
    this.place = element("span", { "aria-live": "polite" });
    pager.append(this.back, this.place, this.on);
    filter.addEventListener("input", () => {
      this.page = 0;
      changed();
    });
  }

  /** The items of the page that is shown, of those whose text has every word that is looked for. */
  shown(items, text) {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? items.filter((item) => words.every((word) => text(item).includes(word))) : items;
    const pages = Math.max(1, Math.ceil(found.length / this.size));
    this.page = Math.min(Math.max(0, this.page), pages - 1);
    const first = this.page * this.size;
    write(this.count, found.length === items.length ? `${items.length} ${this.noun}` : `${found.length} of ${items.length} ${this.noun}`);
    write(this.place, pages > 1 ? `${this.page + 1} / ${pages}` : "");
    this.back.hidden = this.on.hidden = pages === 1;
    this.back.disabled = this.page === 0;
    this.on.disabled = this.page === pages - 1;
    return found.slice(first, first + this.size);
  }
}
