"use strict";
// The rating, which becomes a file, and the words to copy.
(() => {
  const element = (name) => document.getElementById(name);
  const facts = JSON.parse(element("data-facts").textContent);

  function save(name, content) {
    const address = URL.createObjectURL(new Blob([content], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  element("rating-save").addEventListener("click", () => {
    const chosen = document.querySelector("input[name=rating]:checked");
    if (chosen === null) {
      element("rating-said").textContent = "Choose good, to correct, or exclude first.";
      return;
    }
    const rating = {
      schema: 1,
      kind: "wmhseg rating",
      name: facts.name,
      rating: chosen.value,
      comment: element("rating-comment").value,
      by: element("rating-by").value,
      date: new Date().toISOString().slice(0, 19) + "+00:00",
      volume_ml: facts.volume_ml,
      mask_sha256: facts.mask_sha256,
      flair_sha256: facts.flair_sha256,
      version: facts.version,
      notice: facts.notice,
    };
    const plain = facts.name.replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 100) || "result";
    const file = `${plain}_rating.json`;
    save(file, `${JSON.stringify(rating, null, 2)}\n`);
    element("rating-said").textContent = `Saved as ${file}.`;
  });

  element("copy-methods").addEventListener("click", async () => {
    const words = element("methods-text");
    let done = false;
    try {
      await navigator.clipboard.writeText(words.textContent);
      done = true;
    } catch {
      const range = document.createRange();
      range.selectNodeContents(words);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      done = document.execCommand("copy");
    }
    element("copied").textContent = done ? "Copied." : "Marked: copy it with your keyboard.";
  });
})();
