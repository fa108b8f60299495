"use strict";
// Long tables are searched. Without this script, all of them is there.
for (const filter of document.querySelectorAll(".filter")) {
  const table = filter.nextElementSibling.querySelector("table");
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const search = filter.querySelector("input[type=search]");
  const only = filter.querySelector("input[type=checkbox]");
  const told = filter.querySelector("output");
  const show = () => {
    const wanted = search.value.toLowerCase().split(/\s+/);
    let count = 0;
    rows.forEach((row, place) => {
      const found = wanted.every((word) => texts[place].includes(word));
      row.hidden = !found || Boolean(only && only.checked && !row.classList.contains("bad-row"));
      count += !row.hidden;
    });
    told.textContent = count < rows.length ? `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
  };
  filter.addEventListener("input", show);
  filter.hidden = false;
  // A browser may keep what was typed before the page was loaded anew.
  show();
}
