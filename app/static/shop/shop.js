// What is nicer with a script; every page works without.
for (const select of document.querySelectorAll("select[data-submits]")) {
  select.form.querySelector("button[type=submit]").hidden = true;
  select.addEventListener("change", () => select.form.requestSubmit());
}
