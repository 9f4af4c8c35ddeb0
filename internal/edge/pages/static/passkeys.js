// SPDX-License-Identifier: Apache-2.0

// What the pages of serve need of a browser: WebAuthn Level 3, create and get. Everything else works without this file. It sends what a passkey
// gave to serve; what it means is decided in the core.
"use strict";
(() => {
  const body = document.body;
  const says = document.getElementById("says");
  const rp = body.dataset.rp;
  const seconds = 120;
  const own = "passkey"; // where this tab remembers which passkey signed in
  const made = { card: null };

  const say = (text) => { says.textContent = text; };
  const toBase64 = (buffer) => btoa(Array.from(new Uint8Array(buffer), (b) => String.fromCharCode(b)).join(""));
  const fromBase64 = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const toHex = (buffer) => Array.from(new Uint8Array(buffer), (b) => b.toString(16).padStart(2, "0")).join("");

  // post sends JSON to a path of ours and gives the answer.
  async function post(path, value) {
    const reply = await fetch(path, {
      method: "POST", credentials: "same-origin", redirect: "error", cache: "no-store",
      headers: { "Content-Type": "application/json", "Strongroom-Token": body.dataset.token },
      body: JSON.stringify(value),
    });
    const answer = await reply.json();
    if (!reply.ok) throw new Error(answer.detail || "the server refused");
    return answer;
  }

  // sign has a passkey sign a challenge, by one credential or whichever the person chooses.
  async function sign(challenge, credential) {
    const got = await navigator.credentials.get({ publicKey: {
      challenge, rpId: rp, userVerification: "required", timeout: seconds * 1000,
      allowCredentials: credential ? [{ type: "public-key", id: credential }] : [],
    } });
    const r = got.response;
    return {
      assertion: { authData: toBase64(r.authenticatorData), clientData: toBase64(r.clientDataJSON), signature: toBase64(r.signature) },
      person: r.userHandle ? new TextDecoder().decode(r.userHandle).split("/")[0] : "",
      id: toBase64(got.rawId),
    };
  }

  // signAsBefore signs with the passkey that signed in, where this tab knows it.
  const signAsBefore = (challenge) => {
    const id = sessionStorage.getItem(own);
    return sign(challenge, id ? fromBase64(id) : undefined);
  };

  async function signIn() {
    const t = await post("/app/sign-in/challenge", {});
    const { assertion, person, id } = await sign(fromBase64(t.challenge));
    await post("/app/sign-in", { ticket: t.ticket, person, assertion });
    sessionStorage.setItem(own, id);
    location.assign("/app/");
  }

  async function signOut() {
    await post("/app/sign-out", {});
    sessionStorage.removeItem(own);
    location.assign("/app/");
  }

  async function enrol(form) {
    const who = { person: form.dataset.person, further: form.dataset.further === "true" };
    if (form.dataset.groups) who.groups = form.dataset.groups.split(" ");
    const label = document.getElementById("label").value || "Strongroom";
    const credential = await navigator.credentials.create({ publicKey: {
      rp: { id: rp, name: "Strongroom" },
      // A device keeps one passkey a site and user id: with the person's id alone a further one would take the place of the first.
      user: { id: new TextEncoder().encode(who.person + "/" + toHex(crypto.getRandomValues(new Uint8Array(8)))), name: label, displayName: label },
      challenge: crypto.getRandomValues(new Uint8Array(32)), // nothing is attested; the proof is the signature below
      pubKeyCredParams: [{ type: "public-key", alg: -7 }, { type: "public-key", alg: -8 }],
      authenticatorSelection: { residentKey: "required", requireResidentKey: true, userVerification: "required" },
      attestation: "none", timeout: seconds * 1000,
    } });
    const spki = credential.response.getPublicKey();
    if (!spki) throw new Error("this browser does not give the key of the new passkey; use another one");
    const k = await post("/app/enrol/key", { who, spki: toBase64(spki) });
    say("The passkey is made. Confirm once more, to sign the card.");
    const { assertion } = await sign(fromBase64(k.challenge), credential.rawId);
    const card = await post("/app/enrol/card", { who, key: k.key, assertion });
    made.card = { key: k.key, assertion };
    document.getElementById("ref").textContent = k.ref;
    document.getElementById("text").textContent = card.card;
    const link = document.getElementById("download");
    link.href = URL.createObjectURL(new Blob([card.card], { type: "application/json" }));
    link.download = card.name;
    form.hidden = true;
    const section = document.getElementById("card");
    section.hidden = false;
    section.scrollIntoView();
    link.focus();
    say("The card is made.");
  }

  // ask asks for the passkey that was just made, with the one that signed in.
  async function ask() {
    const a = await post("/app/enrol/ask", made.card);
    const { assertion } = await signAsBefore(fromBase64(a.challenge));
    const done = await post("/app/enrol/submit", { request: a.request, assertion });
    location.assign("/app/requests/" + done.id);
  }

  async function decide(button) {
    const challenge = await crypto.subtle.digest("SHA-256", fromBase64(button.dataset.message));
    const shown = document.getElementById("hash-" + button.dataset.decision).textContent.replaceAll(" ", "");
    if (shown !== toHex(challenge)) throw new Error("the hash that is shown is not that of what would be signed; nothing was signed");
    const { assertion } = await signAsBefore(challenge);
    const path = "/app/requests/" + button.dataset.request;
    const done = await post(path, { decision: button.dataset.decision, assertion });
    say(`Recorded in entry ${done.entry}; the request is ${done.state}.`);
    document.getElementById("state").textContent = done.state;
    for (const b of document.querySelectorAll("[data-decision]")) b.remove();
  }

  // run does something that takes a while, with all buttons off meanwhile, and says what went wrong.
  function run(act) {
    const off = Array.from(document.querySelectorAll("button.passkey:not([disabled])"));
    for (const b of off) b.disabled = true;
    say("Your device asks you to confirm.");
    act().catch((e) => {
      if (e.name !== "NotAllowedError") return say("It did not work: " + e.message);
      sessionStorage.removeItem(own); // next time any passkey of this site may answer
      return say("Nothing was signed: it was not confirmed in time, or there is no passkey for this site.");
    }).finally(() => { for (const b of off) b.disabled = false; });
  }

  // signInByPassword needs no passkey, and signs nothing.
  async function signInByPassword() {
    const field = (id) => document.getElementById(id);
    const password = toBase64(new TextEncoder().encode(field("password").value));
    const who = { person: field("person").value.trim(), password, code: field("code").value };
    field("password").value = field("code").value = "";
    await post("/app/sign-in/password", who);
    location.assign("/app/");
  }
  const elsewhere = document.getElementById("elsewhere");
  if (elsewhere) elsewhere.addEventListener("click", () => {
    post("/app/sign-in/elsewhere", {}).then((a) => location.assign(a.location)).catch((e) => say("It did not work: " + e.message));
  });
  if (document.getElementById("go-on")) location.replace("/app/");
  const byPassword = document.getElementById("by-password");
  if (byPassword) byPassword.addEventListener("submit", (ev) => {
    ev.preventDefault();
    say("One moment.");
    signInByPassword().catch((e) => say("It did not work: " + e.message));
  });

  if (!window.isSecureContext || !window.PublicKeyCredential || !navigator.credentials) {
    say("This browser can't use passkeys here. Use one that can, or decide with the command strongroom request.");
    return;
  }
  for (const b of document.querySelectorAll("button.passkey")) b.disabled = false;
  const on = (id, event, act) => {
    const e = document.getElementById(id);
    if (e) e.addEventListener(event, (ev) => { ev.preventDefault(); run(() => act(e)); });
  };
  on("sign-in", "click", signIn);
  on("sign-out", "click", signOut);
  on("enrol", "submit", enrol);
  on("ask", "click", ask);
  for (const b of document.querySelectorAll("[data-decision]")) b.addEventListener("click", () => run(() => decide(b)));
  const print = document.getElementById("print");
  if (print) print.addEventListener("click", () => window.print());
})();
