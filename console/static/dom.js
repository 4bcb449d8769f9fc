// Small helpers to build a page without writing markup into it.

export const byId = (id) => document.getElementById(id);

export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// Shows rows in a container and touches only those that changed, so that focus stays.
export function showRows(container, rows, keyOf, build) {
  const old = new Map([...container.children].map((node) => [node.dataset.key, node]));
  let before = null;
  for (const row of rows) {
    const key = String(keyOf(row));
    const seen = JSON.stringify(row);
    let node = old.get(key);
    old.delete(key);
    if (!node || node.dataset.seen !== seen) {
      const made = build(row);
      made.dataset.key = key;
      made.dataset.seen = seen;
      const active = node?.contains(document.activeElement) ? focusOf(node) : -1;
      if (node) node.replaceWith(made);
      node = made;
      if (active >= 0) node.querySelectorAll("button")[active]?.focus();
    }
    const place = before ? before.nextSibling : container.firstChild;
    if (place !== node) container.insertBefore(node, place);
    before = node;
  }
  for (const node of old.values()) node.remove();
}

const focusOf = (node) => [...node.querySelectorAll("button")].indexOf(document.activeElement);

export const ms = (value) => {
  if (value === null || value === undefined) return "";
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  return `${value.toFixed(value < 10 ? 1 : 0)} ms`;
};

export const seconds = (value) => {
  if (value === null || value === undefined) return "";
  return value < 120 ? `${value.toFixed(0)} s` : `${(value / 60).toFixed(0)} min`;
};

export const shortSid = (sid) => sid.slice(0, 2) + "…" + sid.slice(-6);
