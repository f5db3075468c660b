(() => {
  const root = document.documentElement;
  root.classList.add("js");

  const theme = document.getElementById("theme");
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme:dark)").matches;
  if (kept()) root.dataset.theme = kept();
  theme.hidden = false;
  const say = () => { theme.textContent = dark() ? "Light page" : "Dark page"; };
  say();
  theme.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a file page may have no storage */ }
    say();
  };

  const trials = [...document.querySelectorAll("details.trial")];
  const trialOf = (text) => trials.find(({ dataset }) => [",", ":"].some((end) => text.startsWith(dataset.setting + end)));

  const tip = document.getElementById("tip");
  for (const title of document.querySelectorAll("svg .tip > title")) {
    title.parentNode.dataset.tip = title.textContent;
    if (trialOf(title.textContent)) title.parentNode.classList.add("leads");
    title.remove();
  }
  const show = (event) => {
    const target = event.target.closest?.("[data-tip]");
    tip.hidden = !target;
    if (!target) return;
    tip.textContent = target.dataset.tip;
    const box = tip.getBoundingClientRect();
    tip.style.left = Math.max(6, Math.min(event.clientX + 12, innerWidth - box.width - 6)) + "px";
    tip.style.top = (event.clientY > box.height + 24 ? event.clientY - box.height - 12 : event.clientY + 18) + "px";
  };
  addEventListener("pointermove", show);
  addEventListener("pointerdown", show);
  addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });

  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    for (let fold = target.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  const go = (hash) => { if (hash === location.hash) reveal(); else location.hash = hash; };
  addEventListener("click", (event) => {
    const link = event.target.closest?.('a[href^="#"]'), mark = event.target.closest?.(".leads");
    if (link && link.hash === location.hash) reveal();
    if (mark) go("#" + trialOf(mark.dataset.tip).id);
  });
  reveal();

  const value = (row, column) => {
    const text = row.cells[column].dataset.sort ?? row.cells[column].textContent;
    return text !== "" && !isNaN(text) ? Number(text) : text;
  };
  for (const head of document.querySelectorAll(".sortable th[data-key]")) {
    head.tabIndex = 0;
    const sort = () => {
      const body = head.closest("table").tBodies[0];
      const up = head.getAttribute("aria-sort") !== "ascending";
      for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a, head.cellIndex), value(b, head.cellIndex)];
        const order = typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1;
        return up ? order : -order;
      });
      body.append(...rows);
    };
    head.onclick = sort;
    head.onkeydown = (event) => { if (event.key === "Enter") sort(); };
  }
})();
