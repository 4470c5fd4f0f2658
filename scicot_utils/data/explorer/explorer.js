// The rationale explorer's behaviour around DataTables. Text from models is only ever set as textContent.
const place = document.querySelector('[data-explorer="place"]');

async function unpacked(name) {
  const packed = document.querySelector(`script[data-explorer="${name}"]`).textContent;
  const bytes = Uint8Array.from(atob(packed), (mark) => mark.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function option(value, text) {
  return element("option", { value }, text);
}

function labelled(text, control) {
  return element("label", { class: "explorer-filter" }, element("span", {}, text), control);
}

async function start() {
  const data = JSON.parse(await unpacked("data"));
  document.head.append(element("style", {}, await unpacked("style")));
  const source = URL.createObjectURL(new Blob([await unpacked("library")], { type: "text/javascript" }));
  const { default: DataTable } = await import(source);
  URL.revokeObjectURL(source);

  const address = (id) => `#q=${encodeURIComponent(id)}`;
  const rightOf = (question) => question.answers.filter((answer) => answer.right).length;

  // Filters; all that are set must hold of a question.
  const form = element("select", {}, option("", "any"));
  for (const name of [...new Set(data.questions.map((question) => question.form))].sort()) form.append(option(name, name));
  const perArm = data.arms.map(() => element("select", {}, option("", "any"), option("right", "right"), option("wrong", "wrong")));
  const disagree = element("input", { type: "checkbox" });
  const clear = element("button", { type: "button", class: "explorer-clear" }, "Clear filters");
  const filters = element(
    "fieldset",
    { class: "explorer-filters" },
    element("legend", {}, "Show questions"),
    labelled("Form", form),
    ...data.arms.map((arm, number) => labelled(arm, perArm[number])),
    labelled("Arms disagree", disagree),
    clear,
  );
  const table = element("table", { class: "table display", style: "width:100%" });
  table.append(element("caption", {}, place.querySelector("p").textContent));
  const status = place.querySelector("p");
  status.classList.add("explorer-status");
  place.append(filters, table);

  function details(question) {
    const options = element("ul", { class: "explorer-options" });
    for (const [letter, text] of question.options) {
      const gold = letter === question.gold;
      options.append(element("li", gold ? { class: "explorer-gold" } : {}, `(${letter}) ${text}${gold ? " (right answer)" : ""}`));
    }
    if (!question.options.length) options.append(element("li", {}, `Right answer: ${question.gold}`));
    const named = (letter) => (letter && question.options.length ? `(${letter})` : letter);
    const written = (title, text) => [element("h4", {}, title), element("p", { class: "explorer-text" }, text || "(nothing)")];
    const teacher = element("div", { class: "explorer-answer" }, element("h3", {}, "teacher"), element("p", {}, question.teacher || "–"));
    const answers = question.answers.map((answer, number) => {
      const ranked = answer.ranked ? `, ranked first ${named(answer.ranked)}` : "";
      const read = answer.answer ? `answered ${named(answer.answer)}, read by ${answer.rule}` : `no answer could be read (${answer.rule})`;
      const verdict = `${answer.right ? "Right" : "Wrong"}: ${read}${ranked}${answer.cut ? "; the text was cut at its limit" : ""}`;
      return element(
        "div",
        { class: `explorer-answer ${answer.right ? "is-right" : "is-wrong"}` },
        element("h3", {}, data.arms[number]),
        element("p", { class: "explorer-verdict" }, verdict),
        ...(answer.rationale === null ? [] : written("Rationale, read with the question", answer.rationale)),
        ...written("Text, as it was written", answer.text),
      );
    });
    return element(
      "div",
      { class: "explorer-details" },
      element("p", {}, element("a", { href: address(question.id) }, `Link to ${question.id}`)),
      options,
      element("div", { class: "explorer-answers" }, teacher, ...answers),
    );
  }

  const shown = new DataTable(table, {
    data: data.questions,
    autoWidth: false,
    pageLength: 10,
    lengthMenu: [10, 25, 50, 100],
    order: [],
    layout: { topStart: "pageLength", topEnd: "search", bottomStart: "info", bottomEnd: "paging" },
    language: {
      search: "Search words: ",
      info: "_START_ to _END_ of _TOTAL_ questions",
      infoEmpty: "No question",
      infoFiltered: "(of _MAX_)",
      zeroRecords: "No question holds all of this.",
    },
    columns: [
      {
        title: '<span class="visually-hidden">Details</span>',
        data: null,
        orderable: false,
        searchable: false,
        render: () => null,
        createdCell: (cell, _, question) => {
          const button = element("button", { type: "button", class: "explorer-open", "aria-expanded": "false", "aria-label": `Details of ${question.id}` }, "+");
          cell.replaceChildren(button);
        },
      },
      { title: "Question", data: "question", render: DataTable.render.text() },
      { title: "Form", data: "form", render: DataTable.render.text() },
      ...data.arms.map((arm, number) => ({
        title: DataTable.util.escapeHtml(arm.replace(/ \(.*\)$/, "")),
        data: (question) => (question.answers[number].right ? "right" : "wrong"),
        createdCell: (cell, value) => cell.classList.add(value === "right" ? "is-right" : "is-wrong"),
      })),
      {
        title: "All that was written",
        visible: false,
        data: (question) => [question.id, question.teacher, ...question.options.flat(), ...question.answers.flatMap((answer) => [answer.rationale, answer.text])].join(" "),
        render: DataTable.render.text(),
      },
    ],
  });

  const conditions = [
    (question) => !form.value || question.form === form.value,
    (question) => perArm.every((select, number) => !select.value || (select.value === "right") === question.answers[number].right),
    (question) => !disagree.checked || (rightOf(question) > 0 && rightOf(question) < data.arms.length),
  ];
  shown.search.fixed("conditions", (_, __, number) => conditions.every((holds) => holds(data.questions[number])));

  // Whatever narrows the table, a filter or the search, is told; screen readers hear it.
  shown.on("draw", () => {
    const found = shown.rows({ search: "applied" }).count();
    status.textContent = `${found} of ${data.questions.length} questions shown.`;
  });
  filters.addEventListener("change", () => shown.draw());
  clear.addEventListener("click", () => {
    for (const select of [form, ...perArm]) select.value = "";
    disagree.checked = false;
    shown.search("").draw();
  });

  function toggle(row, open) {
    const button = row.node().querySelector(".explorer-open");
    if (open) row.child(details(row.data())).show();
    else row.child.hide();
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "−" : "+";
  }
  table.addEventListener("click", (event) => {
    const button = event.target.closest(".explorer-open");
    if (button) {
      const row = shown.row(button.closest("tr"));
      toggle(row, !row.child.isShown());
    }
  });

  // A deep link: the page on which the question stands, with its details open; filters stay where they show it.
  function follow() {
    const wanted = /^#q=(.+)$/.exec(location.hash);
    if (!wanted) return;
    const number = data.questions.findIndex((question) => address(question.id) === location.hash || question.id === wanted[1]);
    if (number < 0) {
      status.textContent = `No question is called ${wanted[1]}.`;
      return;
    }
    const position = () => shown.rows({ order: "applied", search: "applied" }).indexes().indexOf(number);
    if (position() < 0) clear.click();
    shown.page(Math.floor(position() / shown.page.len())).draw("page");
    const row = shown.row(number);
    toggle(row, true);
    row.node().scrollIntoView({ block: "center" });
    row.node().querySelector(".explorer-open").focus({ preventScroll: true });
  }
  addEventListener("hashchange", follow);
  shown.draw();
  follow();
  place.dataset.ready = "yes";
}

start().catch((error) => {
  place.querySelector("p").textContent = `The explorer could not start: ${error.message}`;
});
