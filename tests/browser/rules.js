() => {
  // What a machine can check of a page; returns a list of problems in words.
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const seen = (e) => e.offsetParent !== null && getComputedStyle(e).visibility !== "hidden";
  const start = (e) => e.outerHTML.slice(0, 80);

  // Names: each input has a label, each group a legend, each link and button a text.
  for (const e of all("input:not([type=hidden]), select, textarea"))
    if (!e.labels.length) problems.push("no label: " + start(e));
  for (const e of all("fieldset")) if (!e.querySelector("legend")) problems.push("no legend");
  for (const e of all("a[href], button"))
    if (seen(e) && !e.textContent.trim()) problems.push("no name: " + start(e));

  // Ids are unique, and what points to one finds it.
  const ids = all("[id]").map((e) => e.id);
  for (const id of ids)
    if (ids.filter((other) => other === id).length > 1) problems.push("id twice: " + id);
  for (const name of ["aria-describedby", "aria-labelledby"])
    for (const e of all(`[${name}]`))
      for (const id of e.getAttribute(name).split(" ").filter(Boolean))
        if (!document.getElementById(id)) problems.push("points nowhere: " + id);

  // Headings go down one step at a time, from one h1.
  if (all("h1").length !== 1) problems.push("not one h1");
  let level = 1;
  for (const e of all("h1, h2, h3, h4")) {
    const own = Number(e.tagName[1]);
    if (own > level + 1) problems.push("heading jumps: " + e.textContent);
    level = own;
  }

  // Targets: at least 24 by 24 CSS pixels; of a radio button its whole label.
  for (const e of all("button, a.button, select, input:not([type=hidden])")) {
    const box = (e.type === "radio" ? e.labels[0] : e).getBoundingClientRect();
    if (seen(e) && (box.height < 24 || box.width < 24)) problems.push("small: " + start(e));
  }

  // Contrast of text: 4.5 to 1, by the formula of WCAG.
  const numbers = (color) => color.match(/[\d.]+/g).map(Number);
  const channel = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const color = numbers(getComputedStyle(e).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim();
    const e = texts.currentNode.parentElement;
    if (!text || !seen(e) || e.closest("svg, option")) continue;
    const [a, b] = [light(numbers(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) problems.push(`contrast ${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }

  // Nothing is wider than the screen; the page says its language and its name.
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) problems.push("wider than the screen: " + width);
  if (!document.documentElement.lang || !document.title) problems.push("no language or title");
  return problems;
}
