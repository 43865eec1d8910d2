// The test bench plays the EHR: it holds the draft orders, fires the hook, shows the cards, applies what a card offers to
// the drafts, and tells the service what was done with each card. It knows nothing of the drug's rules.
"use strict";

(() => {
  const bench = document.querySelector(".bench");
  const root = bench.dataset.root;
  const at = (id) => document.getElementById(id);
  const fhirServer = `${location.origin}${root}/demo/fhir`;
  const USER = "Practitioner/prescriber";
  const ORDER_HOOKS = ["order-sign", "order-select"];

  let demo = null; // today and the patients
  let services = []; // the discovery
  let patient = null;
  let drafts = []; // FHIR resources, as they would be signed
  let visits = []; // the appointments that are about to be booked
  let cards = []; // of the last answer
  let calls = 0; // how many were made: an answer that was overtaken is not shown

  // --- small things -----------------------------------------------------------------------------------------------

  function element(name, properties = {}, ...parts) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(properties)) {
      if (key in made) made[key] = value;
      else made.setAttribute(key, value);
    }
    made.append(...parts);
    return made;
  }

  const pretty = (value) => JSON.stringify(value, null, 2);
  const copy = (value) => structuredClone(value);
  const hook = () => at("hook").selectedOptions[0].dataset.hook;
  const isOfTheDrug = (draft) =>
    draft.resourceType === "MedicationRequest" && /tarlatamab|imdelltra/i.test(nameOf(draft));
  const nameOf = (draft) => {
    const concept = draft.medicationCodeableConcept || draft.code || {};
    return concept.text || (concept.coding || []).map((coding) => coding.display).find(Boolean) || draft.resourceType;
  };

  async function asked(address, options) {
    const response = await fetch(address, options);
    const text = await response.text();
    return { status: response.status, text, type: response.headers.get("Content-Type") || "" };
  }

  const post = (address, body, accept = "application/json") =>
    asked(address, { method: "POST", headers: { "Content-Type": "application/json", Accept: accept }, body: JSON.stringify(body) });

  // --- the drafts -------------------------------------------------------------------------------------------------

  const dosage = (draft) => (draft.dosageInstruction ||= [{}])[0];
  const quantity = (draft) => dosage(draft).doseAndRate?.[0]?.doseQuantity;
  const amountOf = (draft) => (quantity(draft) ? `${quantity(draft).value} ${quantity(draft).unit || quantity(draft).code || ""}`.trim() : "");
  const dayOf = (draft) => (dosage(draft).timing?.event?.[0] || "").slice(0, 10);

  function setAmount(draft, text) {
    const found = /^\s*([\d.]+)\s*(\S.*)?$/.exec(text);
    const said = dosage(draft);
    delete said.text;
    if (!found) { // what is no amount is handed on as it was typed: the service has to say so
      delete said.doseAndRate;
      if (text.trim()) said.text = text.trim();
      return;
    }
    const unit = (found[2] || "").trim();
    const made = { value: Number(found[1]) };
    if (unit) Object.assign(made, { unit, system: "http://unitsofmeasure.org", code: unit });
    said.doseAndRate = [{ doseQuantity: made }];
  }

  function setDay(draft, day) {
    const timing = (dosage(draft).timing ||= {});
    if (day) timing.event = [day];
    else delete timing.event;
    if (!Object.keys(timing).length) delete dosage(draft).timing;
  }

  // What is added is a draft of the examples, for this patient and today.
  function newDraft(template, day) {
    const draft = { ...copy(template), id: freshId(), subject: { reference: `Patient/${patient.id}` }, authoredOn: demo.today };
    setDay(draft, day);
    return draft;
  }

  function freshId() {
    const taken = new Set(drafts.map((draft) => draft.id));
    let number = drafts.length + 1;
    while (taken.has(`new-${number}`)) number += 1;
    return `new-${number}`;
  }

  function add(templates, day) {
    for (const template of templates) drafts.push(newDraft(template, day));
    showDrafts();
  }

  const firstPlannedDay = () => drafts.filter(isOfTheDrug).map(dayOf).find(Boolean) || demo.today;

  function showDrafts() {
    at("orders").hidden = !ORDER_HOOKS.includes(hook());
    at("appointments").hidden = hook() !== "appointment-book";
    at("visits").replaceChildren(...visits.map(visitForm));
    if (!visits.length) at("visits").append(element("p", { className: "faint" }, "No appointments."));
    at("drafts").replaceChildren(...drafts.map(draftForm));
    if (!drafts.length) at("drafts").append(element("p", { className: "faint" }, "No draft orders."));
  }

  function draftForm(draft, place) {
    const form = element("div", { className: "draft", role: "group", "aria-label": `Order ${place + 1}: ${nameOf(draft)}` });
    form.append(element("span", { className: "what" }, `${place + 1}. ${nameOf(draft)}`));
    if (draft.resourceType === "MedicationRequest") {
      const dose = element("input", { type: "text", value: amountOf(draft) || dosage(draft).text || "" });
      dose.addEventListener("change", () => setAmount(draft, dose.value));
      const day = element("input", { type: "date", value: dayOf(draft) });
      day.addEventListener("change", () => setDay(draft, day.value));
      form.append(element("label", {}, "Dose", dose), element("label", {}, "Planned day", day));
    }
    const remove = element("button", { type: "button", "aria-label": `Remove order ${place + 1}: ${nameOf(draft)}` }, "Remove");
    remove.addEventListener("click", () => {
      drafts.splice(place, 1);
      showDrafts();
      at("add-order").focus();
    });
    form.append(remove);
    return form;
  }

  function visitForm(visit, place) {
    const day = element("input", { type: "date", value: visit.start.slice(0, 10) });
    day.addEventListener("change", () => {
      if (day.value) for (const end of ["start", "end"]) visit[end] = day.value + visit[end].slice(10);
    });
    const form = element("div", { className: "draft", role: "group", "aria-label": `Appointment ${place + 1}: ${visit.description}` });
    form.append(element("span", { className: "what" }, `${place + 1}. ${visit.description}`), element("label", {}, "Day", day));
    return form;
  }

  // --- the call ---------------------------------------------------------------------------------------------------

  function context() {
    const said = { userId: USER, patientId: patient.id };
    const bundle = (resources) => ({ resourceType: "Bundle", type: "collection", entry: resources.map((resource) => ({ resource })) });
    if (ORDER_HOOKS.includes(hook())) said.draftOrders = bundle(drafts);
    if (hook() === "order-select") said.selections = drafts.filter(isOfTheDrug).map((draft) => `${draft.resourceType}/${draft.id}`);
    if (hook() === "appointment-book") said.appointments = bundle(visits);
    if (hook() === "encounter-discharge") said.encounterId = `${patient.id}-stay`;
    return said;
  }

  async function request() {
    const body = { hook: hook(), hookInstance: crypto.randomUUID?.() || uuid(), context: context() };
    const way = document.querySelector("input[name=way]:checked").value;
    if (way === "server") return { ...body, fhirServer };
    const service = services.find((one) => one.id === at("hook").value);
    const read = async ([key, query]) => {
      const found = await asked(`${fhirServer}/${query.replaceAll("{{context.patientId}}", patient.id)}`);
      return [key, JSON.parse(found.text)];
    };
    const prefetch = Object.fromEntries(await Promise.all(Object.entries(service.prefetch).map(read)));
    return { ...body, prefetch };
  }

  function uuid() { // where the page is not served from a secure place, crypto.randomUUID is missing
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  async function fire() {
    const mine = (calls += 1);
    const service = at("hook").value;
    at("status").textContent = "Waiting for the answer …";
    try {
      const body = await request();
      const started = performance.now();
      const answer = await post(`${root}/cds-services/${service}`, body);
      const took = Math.round(performance.now() - started);
      if (mine !== calls) return;
      at("request").textContent = pretty(body);
      at("response").textContent = answer.type.includes("json") ? pretty(JSON.parse(answer.text)) : answer.text;
      await showAnswer(answer, took, mine);
      await Promise.all([showWhy(service, body, mine), showTimeline(body, mine)]);
    } catch (error) {
      if (mine === calls) failed(`The call failed: ${error.message}. Nothing was assessed.`);
    }
  }

  function failed(words) {
    cards = [];
    at("status").textContent = words;
    at("cards").replaceChildren(element("p", { className: "card critical" }, words));
    at("why").replaceChildren();
    at("timeline").replaceChildren();
  }

  async function showAnswer(answer, took, mine) {
    if (answer.status !== 200) {
      const issues = answer.type.includes("json") ? JSON.parse(answer.text).issue || [] : [];
      failed(`Not assessed (HTTP ${answer.status}): ${issues.map((issue) => issue.diagnostics).join(" ") || "no reason given"}`);
      return;
    }
    cards = JSON.parse(answer.text).cards;
    const shown = await post(`${root}/demo/cards`, { cards }, "text/html");
    if (mine !== calls) return;
    if (shown.status !== 200) throw new Error("the cards could not be drawn");
    place("cards", shown.text);
    const many = cards.length === 1 ? "1 card" : `${cards.length} cards`;
    at("status").textContent = cards.length ? `${many} in ${took} ms.` : `Assessed in ${took} ms: nothing to say.`;
  }

  // HTML from our own server, in which all text of a record is escaped; the page's policy runs no script in it.
  const place = (id, html) => at(id).replaceChildren(document.createRange().createContextualFragment(html));

  async function showWhy(service, body, mine) {
    const found = await post(`${root}/demo/why/${service}`, body, "text/html");
    if (mine !== calls) return;
    if (found.status === 200) place("why", found.text);
    else at("why").replaceChildren(element("p", {}, "Not to be had for this answer."));
  }

  async function showTimeline(body, mine) {
    const found = await post(`${root}/timeline?part=1`, body, "text/html");
    if (mine !== calls) return;
    if (found.status === 200) {
      place("timeline", found.text);
      for (const words of at("timeline").querySelectorAll("details")) words.open = false; // the cards have priority
    } else at("timeline").replaceChildren(element("p", { className: "faint" }, "No timeline for this call."));
  }

  // --- what is done with a card -----------------------------------------------------------------------------------

  function tell(card, entry) {
    const feedback = [{ card: card.uuid, outcomeTimestamp: new Date().toISOString(), ...entry }];
    return post(`${root}/cds-services/${at("hook").value}/feedback`, { feedback });
  }

  function apply(action) {
    if (action.type === "create") {
      drafts.push({ ...copy(action.resource), id: action.resource.id || freshId() });
      return;
    }
    const target = action.type === "delete" ? action.resourceId : `${action.resource.resourceType}/${action.resource.id}`;
    const found = drafts.findIndex((draft) => `${draft.resourceType}/${draft.id}` === target || draft.id === target);
    if (found < 0) throw new Error(`no draft ${target}`);
    if (action.type === "delete") drafts.splice(found, 1);
    else drafts[found] = copy(action.resource);
  }

  async function accept(card, suggestion) {
    for (const action of suggestion.actions || []) apply(action);
    showDrafts();
    await tell(card, { outcome: "accepted", acceptedSuggestions: [{ id: suggestion.uuid }] });
    await fire();
    at("answer-title").scrollIntoView({ block: "nearest" });
  }

  async function dismiss(box, card) {
    const chosen = box.querySelector("select").selectedOptions[0];
    const comment = box.querySelector("input[type=text]").value.trim();
    const said = {};
    if (chosen.value) said.reason = { code: chosen.value, system: chosen.dataset.system, display: chosen.textContent.trim() };
    if (comment) said.userComment = comment;
    const entry = { outcome: "overridden", ...(Object.keys(said).length ? { overrideReason: said } : {}) };
    const answer = await tell(card, entry);
    const kept = answer.status === 200;
    box.classList.add("dismissed");
    const words = kept ? "Dismissed; the service keeps the reason." : `Dismissed here only: the feedback got HTTP ${answer.status}.`;
    box.querySelector(".override").replaceWith(element("p", { className: "told", role: "status" }, words));
  }

  at("cards").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    const box = event.target.closest("[data-card]");
    if (!button || !box) return;
    const card = cards.find((one) => one.uuid === box.dataset.card);
    const done = "override" in button.dataset
      ? dismiss(box, card)
      : accept(card, card.suggestions.find((one) => one.uuid === button.dataset.suggestion));
    button.disabled = true;
    done.catch((error) => { at("status").textContent = `That failed: ${error.message}.`; });
  });

  // --- choosing ---------------------------------------------------------------------------------------------------

  function choose(id) {
    patient = demo.patients[id];
    for (const button of document.querySelectorAll("[data-patient]")) {
      button.setAttribute("aria-pressed", String(button.dataset.patient === id));
    }
    at("question").textContent = patient.question;
    for (const option of at("hook").options) option.selected = option.dataset.hook === patient.hook;
    drafts = copy(patient.drafts);
    visits = copy(patient.visits);
    at("fire").disabled = at("reset").disabled = false;
    history.replaceState(null, "", `#${id}`);
    showDrafts();
    return fire();
  }

  async function start() {
    const [choices, discovery] = await Promise.all([asked(`${root}/demo/patients`), asked(`${root}/cds-services`)]);
    demo = JSON.parse(choices.text);
    services = JSON.parse(discovery.text).services;
    const wanted = location.hash.slice(1);
    if (Object.hasOwn(demo.patients, wanted)) await choose(wanted);
  }

  for (const button of document.querySelectorAll("[data-patient]")) {
    button.addEventListener("click", () => ready.then(() => demo && choose(button.dataset.patient)));
  }
  at("find").addEventListener("input", () => {
    const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const item of document.querySelectorAll(".patients li")) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
    for (const list of document.querySelectorAll(".patients ul")) {
      list.previousElementSibling.hidden = list.hidden = [...list.children].every((item) => item.hidden);
    }
  });
  at("hook").addEventListener("change", showDrafts);
  at("fire").addEventListener("click", fire);
  at("reset").addEventListener("click", () => choose(patient.id));
  at("add-order").addEventListener("click", () => patient && add(demo.order, demo.today));
  at("add-companions").addEventListener("click", () => patient && add(demo.companions, firstPlannedDay()));
  const ready = start().catch((error) => failed(`The test bench could not start: ${error.message}.`));
})();
