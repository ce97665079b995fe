// Makes reading and filling in more comfortable; without it every page works, too.

const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/** Searches a list on the server while somebody types into an input for an id. */
function pick(input) {
  const found = document.createElement("ul");
  found.className = "found";
  found.id = `${input.id}-found`;
  found.setAttribute("role", "listbox");
  found.setAttribute("aria-label", "Matches");
  found.hidden = true;
  input.after(found);
  input.setAttribute("role", "combobox");
  input.setAttribute("autocomplete", "off");
  input.setAttribute("aria-controls", found.id);
  input.setAttribute("aria-expanded", "false");
  input.placeholder = "Type to search, or paste an id";
  let asked = 0;
  let waiting;

  const close = () => {
    found.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
  };
  const take = (option) => {
    input.value = option.dataset.id;
    close();
  };
  const select = (step) => {
    const options = [...found.children];
    const now = options.findIndex((each) => each.getAttribute("aria-selected") === "true");
    const from = now < 0 && step < 0 ? 0 : now; // the first step up leads to the last one
    const next = options[(from + step + options.length) % options.length];
    options.forEach((each) => each.setAttribute("aria-selected", String(each === next)));
    if (next) {
      input.setAttribute("aria-activedescendant", next.id);
      next.scrollIntoView({ block: "nearest" });
    }
  };
  const search = async () => {
    const number = ++asked;
    const url = `${input.dataset.pick}?${new URLSearchParams({ q: input.value })}`;
    // a session that has ended is redirected to the sign-in, which is no answer
    const response = await fetch(url, { redirect: "manual" }).catch(() => undefined);
    if (number !== asked || !response?.ok) return;
    const { rows } = await response.json();
    const chosen = found.querySelector('[aria-selected="true"]')?.dataset.id;
    found.replaceChildren(
      ...rows.map((row, index) => {
        const option = document.createElement("li");
        option.id = `${found.id}-${index}`;
        option.dataset.id = row.id;
        option.textContent = row.label === row.id ? row.id : `${row.label} · ${row.id}`;
        option.setAttribute("role", "option");
        option.setAttribute("aria-selected", String(row.id === chosen));
        option.addEventListener("mousedown", (event) => {
          event.preventDefault();
          take(option);
        });
        return option;
      }),
    );
    if (rows.some((row) => row.id === chosen)) select(0); // it may stand elsewhere now
    found.hidden = rows.length === 0;
    input.setAttribute("aria-expanded", String(rows.length > 0));
  };
  input.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 200);
  });
  input.addEventListener("focus", () => input.value || search());
  input.addEventListener("blur", close);
  input.addEventListener("keydown", (event) => {
    const chosen = found.querySelector('[aria-selected="true"]');
    if (event.key in STEPS && !found.hidden) {
      event.preventDefault();
      select(STEPS[event.key]);
    } else if (event.key === "Enter" && !found.hidden && chosen) {
      event.preventDefault();
      take(chosen);
    } else if (event.key === "Escape") {
      close();
    }
  });
}

document.querySelectorAll("input[data-pick]").forEach(pick);

// a form that was sent is not sent again by a second click
document.querySelectorAll("form[method='post']").forEach((form) => {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
});
window.addEventListener("pageshow", () => {
  document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
});

/** Keeps what is going on up to date; it stops with the page's own sign that it is over. */
async function follow(region) {
  const pause = Number(region.dataset.live) * 1000;
  let failures = 0;
  while (region.dataset.live && failures < 5) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (document.hidden) continue;
    try {
      const response = await fetch(location.href, { redirect: "error" });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const next = page.querySelector("main#main > [data-live], main#main > div:has(> dl.facts)");
      if (!response.ok || !next) {
        failures += 1;
        continue;
      }
      failures = 0;
      region.replaceChildren(...next.childNodes);
      if (!next.dataset.live) delete region.dataset.live;
    } catch {
      failures += 1;
    }
  }
}

document.querySelectorAll("[data-live]").forEach(follow);

// a count stands where it was asked for
document.querySelectorAll("a[data-count]").forEach((link) => {
  link.addEventListener("click", async (event) => {
    event.preventDefault();
    const response = await fetch(link.href);
    link.parentElement.textContent = response.ok ? await response.text() : "This took too long.";
  });
});

// one box chooses all rows of a page
document.querySelectorAll("thead .choose").forEach((cell) => {
  const all = document.createElement("input");
  all.type = "checkbox";
  all.setAttribute("aria-label", "Choose all rows of this page");
  all.addEventListener("change", () => {
    cell.closest("table").querySelectorAll("tbody .choose input").forEach((box) => {
      box.checked = all.checked;
    });
  });
  cell.append(all);
});
